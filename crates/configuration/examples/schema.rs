//! Prints the JSON schema of `onion.toml`, for `tools/generate.py`.

use std::io;

fn main() -> serde_json::Result<()> {
    serde_json::to_writer_pretty(io::stdout(), &configuration::schema())
}
