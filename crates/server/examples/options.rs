//! Prints the JSON schema of the server's options, for `tools/generate.py`.

use std::io::{self, Write};

fn main() -> io::Result<()> {
    let schema = schemars::schema_for!(server::Config);
    write!(io::stdout(), "{}", schema.as_value())
}
