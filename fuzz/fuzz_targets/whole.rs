//! Complete requests through every layer: see `fuzz/whole.rs` for what is promised.
//!
//! The input is what one client sends on a connection.
#![no_main]

#[path = "../whole.rs"]
mod whole;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use whole::Whole;

static WHOLE: LazyLock<Whole> = LazyLock::new(Whole::new);

fuzz_target!(|sent: &[u8]| {
    WHOLE.send(sent);
});
