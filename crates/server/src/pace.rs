//! How slowly a client may send a request body, or take a response.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use onion::Trouble;

/// How slow a client may be: how long a pause may be, and the bytes a second, 0 for any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) pause: Duration,
    pub(crate) rate: u64,
}

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

/// How a client takes its responses. Nothing but a plain number is written before it has to be waited for.
#[derive(Debug, Default)]
pub(crate) struct Taking {
    /// Bytes of the response that it takes now. Who writes is alone, or a few bytes are not counted.
    taken: AtomicU64,
    is_new: AtomicBool,
    pace: Mutex<Option<Pace>>,
}

impl Taking {
    /// A further response begins.
    pub(crate) fn begin(&self) {
        self.taken.store(0, Relaxed);
        self.is_new.store(true, Relaxed);
    }

    /// It took so many bytes.
    pub(crate) fn take(&self, bytes: usize) {
        self.taken.store(self.taken.load(Relaxed) + bytes as u64, Relaxed);
    }

    /// It has to be waited for. Gives for how long it may be.
    pub(crate) fn wait(&self, Patience { pause, rate }: Patience) -> Duration {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_new.swap(false, Relaxed) {
            *pace = None;
        }
        pace.get_or_insert_with(|| Pace::new(pause, rate)).begin(self.taken.load(Relaxed), Instant::now)
    }

    /// It takes something again.
    pub(crate) fn go_on(&self) {
        if let Some(pace) = &mut *self.pace.lock().unwrap_or_else(PoisonError::into_inner) {
            pace.end(Instant::now);
        }
    }
}

/// How many request bodies were refused in this process for being slow.
pub(crate) fn slow_bodies() -> u64 {
    SLOW_BODIES.load(Relaxed)
}

static SLOW_BODIES: AtomicU64 = AtomicU64::new(0);

/// Any client can cause them, as often as it likes: the log is not its to fill.
static SENDS_SLOWLY: Trouble = Trouble::new();
static TAKES_SLOWLY: Trouble = Trouble::new();

/// A client sends its request body too slowly.
pub(crate) fn note_slow_body() {
    SLOW_BODIES.fetch_add(1, Relaxed);
    SENDS_SLOWLY.report(|| {
        "a request body came too slowly (body_timeout, body_min_rate): it is answered 408".to_owned()
    });
}

/// A client takes its response too slowly.
pub(crate) fn note_slow_response() {
    TAKES_SLOWLY.report(|| {
        "a client took its response too slowly (write_timeout, write_min_rate): it is broken off".to_owned()
    });
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

    #[test]
    fn what_a_client_takes_earns_time_for_this_response_only() {
        let patience = Patience { pause: 60 * SECOND, rate: 100 };
        let taking = Taking::default();
        taking.begin();
        taking.take(1000);
        assert_eq!(taking.wait(patience), GRACE + 10 * SECOND);
        taking.go_on();
        taking.begin();
        assert_eq!(taking.wait(patience), GRACE);
    }
}
