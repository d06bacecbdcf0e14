//! A panic while a request is answered: a fault of onionskin, which costs one request and not the process.
//!
//! ```
//! assert_eq!(onion::catch(|| 1 + 1), Some(2));
//! assert_eq!(onion::catch(|| -> u8 { panic!("a fault") }), None);
//! ```
//!
//! Whoever polls handlers catches their panics with [`catch`] or [`Caught`] and answers [`panicked`]. Once
//! [`report_panics`] was called, each panic is one line of the error log that names where it happened, and is counted;
//! with `RUST_BACKTRACE` set, its backtrace follows.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::pin::Pin;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use http::StatusCode;

use crate::{Answer, Response, plain, report_error};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Reports every panic of this process to the error log, instead of printing it.
pub fn report_panics() {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        set_hook(Box::new(|info| {
            COUNT.fetch_add(1, Relaxed);
            // Nothing is captured unless RUST_BACKTRACE asks for it.
            let backtrace = Backtrace::capture();
            let is_wanted = backtrace.status() == BacktraceStatus::Captured;
            report_error(&line(info), &if is_wanted { backtrace.to_string() } else { String::new() });
        }));
    });
}

/// How many panics were reported.
pub fn panics() -> u64 {
    COUNT.load(Relaxed)
}

fn line(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let message =
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    format!("internal error at {place}: {message}. This is a bug in onionskin; please report it")
}

/// Does `work`. `None`: it panicked.
pub fn catch<T>(work: impl FnOnce() -> T) -> Option<T> {
    // What it borrowed is either dropped with the request or behind locks that recover.
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// An answer that may panic while it is made: `None` then. It must not be polled after that.
pub struct Caught<'a>(pub Answer<'a>);

impl Future for Caught<'_> {
    type Output = Option<Response>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Response>> {
        match catch(|| self.0.as_mut().poll(context)) {
            Some(poll) => poll.map(Some),
            None => Poll::Ready(None),
        }
    }
}

/// The response to a request whose handler panicked.
pub fn panicked() -> Response {
    plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_in_an_answer_is_no_answer() {
        assert!(Caught(Box::pin(async { panicked() })).await.is_some());
        assert!(Caught(Box::pin(async { panic!("a fault") })).await.is_none());
    }

    #[test]
    fn a_panic_is_counted_and_its_line_names_the_place() {
        report_panics();
        let before = panics();

        assert_eq!(catch(|| -> u8 { panic!("a {}", "fault") }), None);

        assert!(panics() > before);
        set_hook(Box::new(|info| {
            assert!(
                line(info).starts_with("internal error at crates/onion/src/panics.rs:"),
                "{}",
                line(info)
            );
            assert!(line(info).contains(": a fault. This is a bug in onionskin"));
        }));
        assert_eq!(catch(|| -> u8 { panic!("a fault") }), None);
    }
}
