//! A trouble that comes with each request or connection while it lasts, such as a full disk, and is told once.
//!
//! ```
//! use onion::Trouble;
//!
//! static DISK: Trouble = Trouble::new();
//! DISK.report(|| "a request body could not be stored: no space left".to_owned());
//! ```
//!
//! What comes again within a minute is counted, and told with the next one after it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::report;

/// One kind of trouble.
#[derive(Debug, Default)]
pub struct Trouble {
    told: Mutex<Option<Told>>,
}

#[derive(Debug)]
struct Told {
    at: Instant,
    /// How often it came again since.
    again: u64,
}

impl Trouble {
    /// One that there was no sign of so far.
    pub const fn new() -> Self {
        Trouble { told: Mutex::new(None) }
    }

    /// Reports `what`, unless that was done within the last minute.
    pub fn report(&self, what: impl FnOnce() -> String) {
        match self.at(Instant::now()) {
            Some(0) => report(&what()),
            Some(again) => report(&format!("{} ({again} times more since this was last told)", what())),
            None => {}
        }
    }

    /// It has come. Gives how often it did since it was last told, if it is to be told now.
    fn at(&self, now: Instant) -> Option<u64> {
        // Nothing panics under this lock.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *told {
            Some(last) if now.saturating_duration_since(last.at) < PAUSE => {
                last.again += 1;
                None
            }
            last => last.replace(Told { at: now, again: 0 }).map_or(Some(0), |last| Some(last.again)),
        }
    }
}

/// How often it is told, while it lasts.
const PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_and_again_is_told_once_a_minute_with_its_number() {
        let (trouble, begin) = (Trouble::new(), Instant::now());
        let after = |seconds| trouble.at(begin + Duration::from_secs(seconds));

        assert_eq!(after(0), Some(0));
        assert_eq!([after(0), after(1), after(59)], [None, None, None]);
        assert_eq!(after(60), Some(3));
        assert_eq!(after(61), None);
        assert_eq!(after(600), Some(1));
        assert_eq!(after(700), Some(0));
    }
}
