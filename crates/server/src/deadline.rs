//! A deadline that is moved on with every request and hardly ever reached: moving it later costs no timer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// When the client's time is up.
#[derive(Debug)]
pub(crate) struct Deadline {
    due: Instant,
    /// When the timer wakes: at `due` or before it. One that wakes too early is set anew, so none is ever late.
    alarm: Instant,
    /// Whether `due` was moved on before the alarm, with nothing having been waited for since.
    moved: bool,
    /// Whom the timer wakes.
    waker: Option<Waker>,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    /// A deadline `after` from now.
    pub(crate) fn new(after: Duration) -> Self {
        let due = Instant::now() + after;
        Deadline { due, alarm: due, moved: false, waker: None, timer: Box::pin(sleep_until(due)) }
    }

    /// Moves the deadline to `after` from now.
    pub(crate) fn set(&mut self, after: Duration) {
        self.restart(after);
    }

    /// The same; tells what time it is now.
    pub(crate) fn restart(&mut self, after: Duration) -> Instant {
        let now = Instant::now();
        self.due = now + after;
        if self.due < self.alarm {
            self.reset();
        } else {
            self.moved = now < self.alarm;
        }
        now
    }

    /// Takes `by` off the time that is left.
    pub(crate) fn shorten(&mut self, by: Duration) {
        self.due = self.due.checked_sub(by).unwrap_or_else(Instant::now);
        self.reset();
    }

    /// Ready when the time is up.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // The timer had not gone off when the deadline was moved on: if it has since, it has woken this task.
        // It is not asked, since its memory is cold, and asking it would cost more than all the rest of the wait.
        if std::mem::take(&mut self.moved)
            && self.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker()))
        {
            return Poll::Pending;
        }
        self.waker.clone_from(&Some(context.waker().clone()));
        loop {
            ready!(self.timer.as_mut().poll(context));
            if Instant::now() >= self.due {
                return Poll::Ready(());
            }
            self.reset();
        }
    }

    fn reset(&mut self) {
        self.alarm = self.due;
        self.moved = false;
        self.timer.as_mut().reset(self.due);
    }
}
