//! What is noted of one request while it is answered, for who looks on from outside: the access log, the metrics.
//!
//! A server that looks on puts [`Notes`] into the request's [`Context`](crate::Context); where there are none nothing is
//! noted, and nothing is spent. Whoever deep in the onion learns something writes it there.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::{Traceparent, Value, hexadecimal};

/// Who waits for a call to time out. Each is one task at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeoutWaiter {
    /// What waits for the response, then for its body.
    Response,
    /// What produces the body.
    Producer,
    /// What sends the response to the client.
    Sender,
}

/// The notes on one request.
#[derive(Debug, Default)]
pub struct Notes {
    request_id: OnceLock<String>,
    trace_id: OnceLock<String>,
    user: OnceLock<String>,
    span: OnceLock<Traceparent>,
    application: Mutex<Option<Arc<str>>>,
    /// Microseconds; one more than it was, for 0 means that nobody waited.
    queued: AtomicU64,
    interpreter: AtomicU64,
    timed_out: AtomicBool,
    /// The tasks to wake when the call times out, by what they are.
    timeout_wakers: Mutex<[Option<Waker>; 3]>,
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

    /// Notes the application that a dispatcher has chosen. The innermost choice stands.
    pub fn set_application(&self, name: Arc<str>) {
        *self.application.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
    }

    /// The application that a dispatcher has chosen.
    pub fn application(&self) -> Option<Arc<str>> {
        self.application.lock().unwrap_or_else(PoisonError::into_inner).clone()
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

    /// Marks the call into the application as timed out, and wakes the tasks that wait for it.
    pub fn time_out(&self) {
        self.timed_out.store(true, SeqCst);
        for waker in std::mem::take(&mut *self.timeout_wakers()).into_iter().flatten() {
            waker.wake();
        }
    }

    /// Whether the call into the application took longer than `request_timeout`.
    pub fn is_timed_out(&self) -> bool {
        self.timed_out.load(SeqCst)
    }

    /// Ready once the call is timed out. Until then the task that asked last as `who` is woken when that happens.
    pub fn poll_timed_out(&self, who: TimeoutWaiter, context: &Context<'_>) -> Poll<()> {
        if self.is_timed_out() {
            return Poll::Ready(());
        }
        self.timeout_wakers()[who as usize] = Some(context.waker().clone());
        // The timeout may have come before the waker was registered.
        if self.is_timed_out() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn timeout_wakers(&self) -> MutexGuard<'_, [Option<Waker>; 3]> {
        // A panic cannot leave the list half changed.
        self.timeout_wakers.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_timeout_wakes_every_task_that_waits_for_it() {
        let notes = Notes::default();
        let context = Context::from_waker(Waker::noop());
        for who in [TimeoutWaiter::Response, TimeoutWaiter::Response, TimeoutWaiter::Producer] {
            assert!(notes.poll_timed_out(who, &context).is_pending());
        }
        assert_eq!(notes.timeout_wakers().iter().flatten().count(), 2);
        notes.time_out();
        assert!(notes.is_timed_out() && notes.poll_timed_out(TimeoutWaiter::Sender, &context).is_ready());
        assert_eq!(notes.timeout_wakers().iter().flatten().count(), 0);
    }

    #[test]
    fn no_wait_is_told_from_a_wait_of_no_time() {
        let notes = Notes::default();
        assert_eq!(notes.queued(), None);
        notes.set_queued(Duration::ZERO);
        assert_eq!(notes.queued(), Some(Duration::ZERO));
    }
}
