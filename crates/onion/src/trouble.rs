//! A trouble that comes with each request or connection while it lasts, such as a full disk, and is logged once a minute.
//!
//! ```
//! use onion::Trouble;
//!
//! static DISK: Trouble = Trouble::new();
//! DISK.report(|| "a request body could not be stored: no space left".to_owned());
//! ```
//!
//! How often it came besides is logged when the minute is over, like that of any other [line](crate::Record).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::repeats::Limit;
use crate::report;

/// One kind of trouble.
#[derive(Debug, Default)]
pub struct Trouble {
    /// What it is counted by; 0 before it has come.
    key: AtomicU64,
}

impl Trouble {
    /// One that there was no sign of so far.
    pub const fn new() -> Self {
        Trouble { key: AtomicU64::new(0) }
    }

    /// Reports `what`, unless that was done within the last minute.
    pub fn report(&self, what: impl FnOnce() -> String) {
        report::report_trouble(self.key(), EVERY_MINUTE, what);
    }

    fn key(&self) -> u64 {
        static LAST: AtomicU64 = AtomicU64::new(0);
        match self.key.load(Relaxed) {
            0 => {
                let next = LAST.fetch_add(1, Relaxed) + 1;
                self.key.compare_exchange(0, next, Relaxed, Relaxed).map_or_else(|taken| taken, |_| next)
            }
            key => key,
        }
    }
}

const EVERY_MINUTE: Limit = Limit { lines: 1, within: Duration::from_secs(60) };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_key_of_its_own_and_keeps_it() {
        let (one, other) = (Trouble::new(), Trouble::new());
        assert_ne!(one.key(), other.key());
        assert_eq!(one.key(), one.key());
    }
}
