//! Keeps a connection's task on its thread while it holds something that must stay there.
//!
//! A task of the runtime may go on on another thread after every `Pending`. While a Python iterable is open (see
//! [`onion::ThreadBound`]) it may not: then the thread waits here, after it has handed the runtime's work on to
//! another thread (`block_in_place`), so that the network never notices.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use onion::thread_is_bound;
use tokio::task::block_in_place;
use tokio::task::coop::{Unconstrained, unconstrained};

use crate::stop::Entered;

/// A connection's task.
pub(crate) struct Stay<F> {
    entered: Entered,
    introduced: bool,
    // Without tokio's budget: a task that has used its up waits, out of reach, for its thread to park, and the thread
    // may be in a call into Python for long before that.
    serving: Pin<Box<Unconstrained<F>>>,
}

impl<F: Future<Output = ()>> Stay<F> {
    pub(crate) fn new(entered: Entered, serving: F) -> Self {
        Stay { entered, introduced: false, serving: Box::pin(unconstrained(serving)) }
    }

    /// Waits on this thread for as long as the task is bound to it; `Pending` when it no longer is.
    fn wait_here(&mut self) -> Poll<()> {
        let parked = Arc::new(Parked { thread: thread::current(), woken: AtomicBool::new(false) });
        let waker = Waker::from(Arc::clone(&parked));
        let mut context = Context::from_waker(&waker);
        loop {
            if self.serving.as_mut().poll(&mut context).is_ready() || self.entered.stop().is_aborted() {
                return Poll::Ready(());
            }
            if !thread_is_bound() {
                return Poll::Pending;
            }
            while !parked.woken.swap(false, Ordering::Acquire) && !self.entered.stop().is_aborted() {
                thread::park_timeout(ABORT_CHECK);
            }
        }
    }
}

/// How often a waiting thread looks whether the server gave up waiting for it.
const ABORT_CHECK: Duration = Duration::from_millis(500);

impl<F: Future<Output = ()>> Future for Stay<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if !self.introduced {
            self.entered.wake_with(context.waker());
            self.introduced = true;
        }
        loop {
            if self.entered.stop().is_aborted() || self.serving.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            if !thread_is_bound() {
                return Poll::Pending;
            }
            if block_in_place(|| self.wait_here()).is_ready() {
                return Poll::Ready(());
            }
            // Free to move again: polled once more, so that what wakes it next is the runtime.
        }
    }
}

/// A thread that waits to be woken.
struct Parked {
    thread: Thread,
    woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
