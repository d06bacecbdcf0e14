//! The modules of `onionskin-python` that know no Python, compiled apart from it, for their tests.
//!
//! The extension takes Python's symbols from the interpreter that loads it, so a test binary of it can't be linked. To
//! link one with libpython would build `PyO3` a second time, with other features, for every run of the tests. What calls
//! Python is tested from Python, in `tests`.

#![cfg_attr(not(test), expect(dead_code, reason = "it is used in the extension"))]
#![cfg_attr(test, expect(dead_code, reason = "the tests do not use all of it"))]

#[path = "../src/changes.rs"]
mod changes;
#[path = "../src/mappings.rs"]
mod mappings;
#[path = "../src/permits.rs"]
mod permits;
#[path = "../src/inward/written.rs"]
mod written;

#[cfg(test)]
mod calls;
