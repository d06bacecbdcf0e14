//! Threads that call Python: how they take the GIL, and how they wait without it.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use pyo3::ffi;
use pyo3::prelude::*;

use crate::forks::is_forked;

thread_local! {
    static KEPT: Cell<Option<(ffi::PyGILState_STATE, *mut ffi::PyThreadState)>> = const { Cell::new(None) };
}

/// The stack of a thread that may call Python: as much as one that Python starts has, for applications recurse, and
/// so do stylesheets.
pub(crate) const STACK: usize = 8 << 20;

/// Runs `body` with the GIL.
///
/// A thread of the runtime keeps its Python thread state for life: taking the GIL then costs some 40 ns instead of
/// 400, and the application's thread-locals stay.
pub(crate) fn attached<T>(body: impl FnOnce(Python<'_>) -> T) -> T {
    if KEPT.get().is_none() {
        keep();
    }
    Python::attach(body)
}

fn keep() {
    // SAFETY: the interpreter is initialised, since an extension module runs in it. A thread that has no state (one
    // of the runtime) gets one; it is given up by `release` on this very thread.
    unsafe {
        if ffi::PyGILState_GetThisThreadState().is_null() {
            KEPT.set(Some((ffi::PyGILState_Ensure(), ffi::PyEval_SaveThread())));
        }
    }
}

/// Gives up what `attached` kept; for a thread of the runtime that ends.
pub(crate) fn release() {
    if let Some((state, thread)) = KEPT.take() {
        // SAFETY: both come from `attached` on this thread, which doesn't hold the GIL now.
        unsafe {
            ffi::PyEval_RestoreThread(thread);
            ffi::PyGILState_Release(state);
        }
    }
}

/// Waits for `future` on this thread, which does nothing else meanwhile. Call it without the GIL.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let wait = || {
        let mut future = pin!(future);
        let parked = Parked::new();
        let waker = Waker::from(Arc::clone(&parked));
        let mut context = Context::from_waker(&waker);
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(output) => return output,
                Poll::Pending => parked.park(),
            }
        }
    };
    if !is_forked() && tokio::runtime::Handle::try_current().is_ok() {
        // A thread of our runtime: its other work goes to another one first.
        tokio::task::block_in_place(wait)
    } else {
        wait()
    }
}

/// A waker that wakes a thread, and remembers that it did.
pub(crate) struct Parked {
    thread: Thread,
    woken: AtomicBool,
}

impl Parked {
    /// For the thread that calls it.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Parked { thread: thread::current(), woken: AtomicBool::new(false) })
    }

    /// Whether it was woken since it was last asked.
    pub(crate) fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::Acquire)
    }

    /// Blocks the thread until it is woken.
    pub(crate) fn park(&self) {
        while !self.take_woken() {
            thread::park();
        }
    }
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
