//! What is noted of one request while it is answered, for who looks on from outside: the access log, the metrics.
//!
//! A server that looks on puts [`Notes`] into the request's [`Context`](crate::Context); where there are none nothing is
//! noted, and nothing is spent. Whoever deep in the onion learns something writes it there.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;

use crate::{Traceparent, Value, hexadecimal};

/// Can answer a client in the place of a handler that takes too long.
pub trait Substitute: Send + Sync + fmt::Debug {
    /// Sends an answer with this status. The handler's own one has not begun, and never will.
    fn answer(&self, status: StatusCode);
    /// Breaks off the answer that has begun.
    fn cut(&self);
}

/// The notes on one request.
#[derive(Debug, Default)]
pub struct Notes {
    request_id: OnceLock<String>,
    trace_id: OnceLock<String>,
    user: OnceLock<String>,
    span: OnceLock<Traceparent>,
    /// Microseconds; one more than it was, for 0 means that nobody waited.
    queued: AtomicU64,
    interpreter: AtomicU64,
    substitute: OnceLock<Arc<dyn Substitute>>,
    answered: AtomicBool,
    timed_out: AtomicBool,
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
        if let Some(text) = value.as_str() {
            // The first word stands: it was said nearest to the client.
            let _ = place.set(text.to_owned());
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

    /// Notes the span that the server itself has begun for the request; the request says so in `traceparent`.
    pub fn set_span(&self, span: Traceparent) {
        // There is one server, and it says so once.
        let _ = self.span.set(span);
        let _ = self.trace_id.set(hexadecimal(&span.trace));
    }

    /// The span that the server has begun.
    pub fn span(&self) -> Option<&Traceparent> {
        self.span.get()
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

    /// Names who can answer in the handler's place.
    pub fn set_substitute(&self, substitute: Arc<dyn Substitute>) {
        // There is one server, and it says so once.
        let _ = self.substitute.set(substitute);
    }

    /// Claims the right to answer, for the server that has the handler's response; not given if the client was answered
    /// in its place.
    #[must_use]
    pub fn claim(&self) -> bool {
        !self.answered.swap(true, Relaxed)
    }

    /// The handler takes too long: its client is answered now, or, if the answer has begun, it is broken off. Only for who
    /// knows that the handler's response is not complete yet.
    pub fn answer_instead(&self, status: StatusCode) {
        let Some(substitute) = self.substitute.get() else { return };
        self.timed_out.store(true, Relaxed);
        if self.claim() { substitute.answer(status) } else { substitute.cut() }
    }

    /// Whether the client was answered instead, or its answer broken off.
    pub fn is_timed_out(&self) -> bool {
        self.timed_out.load(Relaxed)
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
