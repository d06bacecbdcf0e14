//! What is noted of one request while it is answered, for who looks on from outside: the access log, the metrics.
//!
//! A server that looks on puts [`Notes`] into the request's [`Context`](crate::Context); where there are none nothing is
//! noted, and nothing is spent. Whoever deep in the onion learns something writes it there.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::Value;

/// The notes on one request.
#[derive(Debug, Default)]
pub struct Notes {
    request_id: OnceLock<String>,
    trace_id: OnceLock<String>,
    user: OnceLock<String>,
    /// Microseconds; one more than it was, for 0 means that nobody waited.
    queued: AtomicU64,
    interpreter: AtomicU64,
    failed: AtomicBool,
}

impl Notes {
    /// Looks at what a layer tells the application under `key` of environ: some of it is of interest outside too.
    pub(crate) fn heed(&self, key: &str, value: &Value) {
        let place = match key {
            "onionskin.request_id" => &self.request_id,
            "onionskin.trace_id" => &self.trace_id,
            "REMOTE_USER" => &self.user,
            _ => return,
        };
        if let Value::Text(text) = value {
            // The first word stands: it was said nearest to the client.
            let _ = place.set(text.clone());
        }
    }

    /// The id that `RequestId` gave the request.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.get().map(String::as_str)
    }

    /// The trace that the request belongs to (W3C Trace Context).
    pub fn trace_id(&self) -> Option<&str> {
        self.trace_id.get().map(String::as_str)
    }

    /// Who the client is, as a layer has it.
    pub fn user(&self) -> Option<&str> {
        self.user.get().map(String::as_str)
    }

    /// Notes how long the request waited for its turn to call the application.
    pub fn set_queued(&self, time: Duration) {
        self.queued.store(stored(time), Relaxed);
    }

    /// How long the request waited for its turn; `None` if it called no application.
    pub fn queued(&self) -> Option<Duration> {
        read(&self.queued)
    }

    /// Notes how long the call waited for the interpreter once it had its turn.
    pub fn set_interpreter(&self, time: Duration) {
        self.interpreter.store(stored(time), Relaxed);
    }

    /// How long the call waited for the interpreter.
    pub fn interpreter(&self) -> Option<Duration> {
        read(&self.interpreter)
    }

    /// Notes that the application raised.
    pub fn set_failed(&self) {
        self.failed.store(true, Relaxed);
    }

    /// Whether the application raised.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }
}

fn stored(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX - 1) + 1
}

fn read(stored: &AtomicU64) -> Option<Duration> {
    stored.load(Relaxed).checked_sub(1).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_the_client_is_noted_and_its_first_word_stands() {
        let notes = Notes::default();
        notes.heed("REMOTE_USER", &Value::Text("ada".into()));
        notes.heed("REMOTE_USER", &Value::Text("eve".into()));
        notes.heed("onionskin.request_id", &Value::Text("7".into()));
        notes.heed("other", &Value::Text("nothing".into()));

        assert_eq!((notes.user(), notes.request_id(), notes.trace_id()), (Some("ada"), Some("7"), None));
    }

    #[test]
    fn no_wait_is_told_from_a_wait_of_no_time() {
        let notes = Notes::default();
        assert_eq!(notes.queued(), None);
        notes.set_queued(Duration::ZERO);
        assert_eq!(notes.queued(), Some(Duration::ZERO));
    }
}
