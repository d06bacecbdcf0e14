//! Counts what leaves on a connection, for the request that is being answered on it.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::StatusCode;

/// The bytes and times of one answer after the other. Atomic, since more than one thread may write to a connection.
#[derive(Debug)]
pub(crate) struct Meter {
    base: Instant,
    /// Of the request's body, without its framing.
    received: AtomicU64,
    sent: AtomicU64,
    /// How much was sent when the body began: interim responses, and the head.
    head: AtomicU64,
    /// Nanoseconds from `base` to the answer's first byte; 0 before it.
    first: AtomicU64,
    /// 0 before there is one.
    status: AtomicU16,
    /// Whether the client went away before it had sent the whole body.
    disconnected: AtomicBool,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Meter {
            base: Instant::now(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            head: AtomicU64::new(0),
            first: AtomicU64::new(0),
            status: AtomicU16::new(0),
            disconnected: AtomicBool::new(false),
        }
    }

    /// Begins with a further request.
    pub(crate) fn begin(&self) {
        self.received.store(0, Relaxed);
        self.sent.store(0, Relaxed);
        self.head.store(0, Relaxed);
        self.first.store(0, Relaxed);
        self.status.store(0, Relaxed);
        self.disconnected.store(false, Relaxed);
    }

    /// The client went away before it had sent the whole body.
    pub(crate) fn disconnect(&self) {
        self.disconnected.store(true, Relaxed);
    }

    /// Whether the client went away before it had sent the whole body.
    pub(crate) fn is_disconnected(&self) -> bool {
        self.disconnected.load(Relaxed)
    }

    /// So many bytes of the request's body were read.
    pub(crate) fn receive(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// An answer begins, whose head has so many bytes.
    pub(crate) fn answer(&self, status: StatusCode, head: usize) {
        self.status.store(status.as_u16(), Relaxed);
        self.head.store(self.sent.load(Relaxed) + head as u64, Relaxed);
    }

    /// So many bytes were sent.
    pub(crate) fn count(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
        if self.first.load(Relaxed) == 0 && self.status.load(Relaxed) != 0 {
            let since = u64::try_from(self.base.elapsed().as_nanos()).unwrap_or(u64::MAX);
            self.first.store(since.max(1), Relaxed);
        }
    }

    /// The status of the answer, if one was begun.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.status.load(Relaxed)).ok()
    }

    /// When the answer's first byte was sent.
    pub(crate) fn first(&self) -> Option<Instant> {
        let first = self.first.load(Relaxed);
        (first != 0).then(|| self.base + Duration::from_nanos(first))
    }

    /// What was read of the request's body.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// All bytes, heads included.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// The bytes of the body, as they were sent: of a chunked one with its framing.
    pub(crate) fn body(&self) -> u64 {
        self.sent().saturating_sub(self.head.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_interim_responses_are_no_part_of_the_body() {
        let meter = Meter::new();
        meter.begin();
        meter.receive(7);
        meter.count(25);
        assert_eq!(meter.first(), None);
        meter.answer(StatusCode::OK, 100);
        meter.count(60);
        assert_eq!((meter.sent(), meter.body()), (85, 0));
        meter.count(53);
        assert_eq!((meter.sent(), meter.body()), (138, 13));
        assert!(meter.first().is_some());
        assert_eq!(meter.received(), 7);

        meter.begin();
        assert_eq!(meter.received(), 0);
        assert_eq!((meter.sent(), meter.status(), meter.first()), (0, None, None));
    }
}
