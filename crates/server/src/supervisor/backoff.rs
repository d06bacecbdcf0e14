//! How long to wait before a worker is replaced that died young: longer each time, not at all when it had lived.

use std::time::{Duration, Instant};

/// The waiting time.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    deaths: u32,
    until: Option<Instant>,
}

/// Who served for so long has not died young.
const YOUNG: Duration = Duration::from_secs(10);

/// After the second death in a row; then twice as long each time.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);

impl Backoff {
    /// A worker died that had served for `age`; `None` if it never did. Tells how long its successor waits.
    pub(crate) fn died(&mut self, age: Option<Duration>, now: Instant) -> Duration {
        if age.is_some_and(|age| age >= YOUNG) {
            self.deaths = 0;
        } else {
            self.deaths += 1;
        }
        let wait = match self.deaths {
            0 | 1 => Duration::ZERO,
            more => FIRST.saturating_mul(1 << (more - 2).min(10)).min(LONGEST),
        };
        self.until = Some(now + wait);
        wait
    }

    /// When the next worker may be started, if that is not now.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// A fresh start, by somebody's decision.
    pub(crate) fn forget(&mut self) {
        *self = Backoff::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_death_costs_no_time_and_later_ones_ever_more() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        let waits = [(); 12].map(|()| backoff.died(None, now).as_millis());
        assert_eq!(waits[..5], [0, 250, 500, 1000, 2000]);
        assert_eq!(waits[11], 30_000);
        assert_eq!(backoff.until(now), Some(now + LONGEST));
    }

    #[test]
    fn who_has_lived_is_replaced_at_once() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        backoff.died(None, now);
        backoff.died(Some(Duration::from_secs(1)), now);
        assert_eq!(backoff.died(Some(YOUNG), now), Duration::ZERO);
        assert_eq!(backoff.until(now), None);
    }
}
