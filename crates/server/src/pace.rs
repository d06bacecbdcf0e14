//! How slowly a client may send a request body, or take a response.

use std::time::{Duration, Instant};

/// Bounds a single pause, and, where there is a least rate, all pauses together: they have a grace period, and every byte
/// that came earns further time. What is not spent waiting for the client does not count.
#[derive(Debug)]
pub(crate) struct Pace {
    pause: Duration,
    /// Bytes a second; 0 for none.
    rate: u64,
    waited: Duration,
    since: Option<Instant>,
}

/// How long all pauses together may be without a byte having come.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

impl Pace {
    pub(crate) fn new(pause: Duration, rate: u64) -> Self {
        Pace { pause, rate, waited: Duration::ZERO, since: None }
    }

    /// A pause begins after so many bytes. Gives how long it may be.
    pub(crate) fn begin(&mut self, received: u64, now: impl FnOnce() -> Instant) -> Duration {
        if self.rate == 0 {
            return self.pause;
        }
        self.since = Some(now());
        // More than millions of seconds are as good as no bound.
        let earned = received.saturating_mul(1000) / self.rate;
        let left = (GRACE + Duration::from_millis(earned)).saturating_sub(self.waited);
        left.min(self.pause)
    }

    /// It is over: something came.
    pub(crate) fn end(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(since) = self.since.take() {
            self.waited += now().saturating_duration_since(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn every_byte_earns_time_and_every_pause_spends_some() {
        let start = Instant::now();
        let mut pace = Pace::new(10 * SECOND, 100);
        assert_eq!(pace.begin(0, || start), GRACE);
        pace.end(|| start + 4 * SECOND);
        // 200 bytes are two seconds.
        assert_eq!(pace.begin(200, || start), 3 * SECOND);
        pace.end(|| start + 3 * SECOND);
        assert_eq!(pace.begin(200, || start), Duration::ZERO);
        // Who was fast may pause for no longer than anybody.
        assert_eq!(pace.begin(1_000_000, || start), 10 * SECOND);
    }

    #[test]
    fn a_pause_may_be_shorter_than_the_grace_period() {
        let mut pace = Pace::new(SECOND, 100);
        assert_eq!(pace.begin(0, Instant::now), SECOND);
    }

    #[test]
    fn without_a_rate_only_each_pause_counts_and_no_clock_is_read() {
        let unread = || panic!("no clock is read");
        let mut pace = Pace::new(SECOND, 0);
        for received in [0, 1, 2] {
            assert_eq!(pace.begin(received, unread), SECOND);
            pace.end(unread);
        }
    }
}
