//! What may not leave its thread: an open Python iterable is continued on the thread that made it.
//!
//! Database connections, context variables and thread-locals of an application hang on its thread. While a
//! [`ThreadBound`] lives, whoever drives the request (the server's connection) must not let the task move to
//! another thread: it waits by blocking the thread instead of by returning `Pending`.

use std::cell::Cell;
use std::marker::PhantomData;
use std::thread::{self, ThreadId};

thread_local! {
    static BOUND: Cell<usize> = const { Cell::new(0) };
}

/// Binds the running task to the running thread for as long as it lives.
#[derive(Debug)]
pub struct ThreadBound {
    thread: ThreadId,
    _private: PhantomData<()>,
}

impl ThreadBound {
    /// Binds the task that runs on this thread now.
    pub fn here() -> Self {
        BOUND.with(|bound| bound.set(bound.get() + 1));
        ThreadBound { thread: thread::current().id(), _private: PhantomData }
    }

    /// Whether the caller runs on the thread that this was made on.
    pub fn is_here(&self) -> bool {
        thread::current().id() == self.thread
    }
}

impl Drop for ThreadBound {
    fn drop(&mut self) {
        // Dropped elsewhere (a task that was cancelled when its runtime ended): that thread runs nothing any more.
        if self.is_here() {
            BOUND.with(|bound| bound.set(bound.get() - 1));
        }
    }
}

/// Whether the task that runs on this thread holds something that must stay on it.
pub fn thread_is_bound() -> bool {
    BOUND.with(|bound| bound.get() > 0)
}
