//! A deadline that is moved on with every request and hardly ever reached: moving it later costs no timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// When the client's time is up.
#[derive(Debug)]
pub(crate) struct Deadline {
    due: Instant,
    // Set to `due` or before it: a timer that wakes too early is set anew, one that is due later is never late.
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    /// A deadline `after` from now.
    pub(crate) fn new(after: Duration) -> Self {
        let due = Instant::now() + after;
        Deadline { due, timer: Box::pin(sleep_until(due)) }
    }

    /// Moves the deadline to `after` from now.
    pub(crate) fn set(&mut self, after: Duration) {
        self.due = Instant::now() + after;
        if self.due < self.timer.deadline() {
            self.timer.as_mut().reset(self.due);
        }
    }

    /// Ready when the time is up.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            if Instant::now() >= self.due {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.due);
        }
    }
}
