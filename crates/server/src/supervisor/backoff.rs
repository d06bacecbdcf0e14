//! How long to wait before a worker is started again that could not become ready: longer each time, but never long.
//!
//! A worker that was ready is replaced at once, however early it ends: one fatal request in a second must not leave a
//! site without workers. What can't become ready costs an import each time, which the pause keeps from taking all of a
//! processor. Each worker that is missing has a pause of its own, so one that fails holds up no other.

use std::iter;
use std::time::{Duration, Instant};

/// The pauses of the workers that are missing.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    /// How many in a row could not become ready.
    failures: u32,
    /// When the next try of each is due.
    pauses: Vec<Instant>,
}

/// After the second failure in a row; then twice as long each time.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(1);

impl Backoff {
    /// Workers for so many `places` could not become ready, of one cause. Returns how long the places stay empty.
    pub(crate) fn failed(&mut self, places: usize, now: Instant) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let wait = match self.failures {
            1 => Duration::ZERO,
            more => FIRST.saturating_mul(1 << (more - 2).min(2)).min(LONGEST),
        };
        self.pauses.extend(iter::repeat_n(now + wait, places));
        wait
    }

    /// A worker has become ready: what failed before was not the application's fault.
    pub(crate) fn forget(&mut self) {
        *self = Backoff::default();
    }

    /// How many places stay empty for now.
    pub(crate) fn paused(&mut self, now: Instant) -> usize {
        self.pauses.retain(|until| *until > now);
        self.pauses.len()
    }

    /// When the next pause ends, if that is not now.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        self.pauses.iter().copied().filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_costs_no_time_and_later_ones_at_most_a_second() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        let waits = [(); 40].map(|()| backoff.failed(1, now).as_millis());
        assert_eq!(waits[..6], [0, 250, 500, 1000, 1000, 1000]);
        assert_eq!(waits[39], 1000);
    }

    #[test]
    fn each_failure_holds_up_one_worker() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..3 {
            backoff.failed(1, now);
        }
        assert_eq!(backoff.paused(now), 2);
        assert_eq!(backoff.until(now), Some(now + FIRST));
        assert_eq!(backoff.paused(now + FIRST), 1);
        assert_eq!(backoff.paused(now + LONGEST), 0);
    }

    #[test]
    fn a_worker_that_becomes_ready_ends_all_pauses() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        backoff.failed(1, now);
        backoff.failed(4, now);
        backoff.forget();
        assert_eq!((backoff.paused(now), backoff.failed(1, now)), (0, Duration::ZERO));
    }
}
