//! The runtime that layers wait on behind the outward door: one a process, started when the first of them is asked.
//!
//! Servers that fork load the application before or after it; threads do not outlive a fork. So the runtime belongs to
//! the process that started it, and a child starts its own.

use std::io;
use std::process;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::forks::is_forked;
use crate::threads;

/// The runtime of a process.
struct Started {
    process: u32,
    runtime: Runtime,
}

static STARTED: AtomicPtr<Started> = AtomicPtr::new(ptr::null_mut());

/// The runtime to poll within: the one that this thread belongs to, as under our server, or the process's own.
pub(crate) fn handle() -> io::Result<Handle> {
    // In a process that was forked from our server, nothing turns its runtime.
    if !is_forked()
        && let Ok(current) = Handle::try_current()
    {
        return Ok(current);
    }
    let found = STARTED.load(Ordering::Acquire);
    // SAFETY: a pointer that was once stored is never freed.
    if let Some(started) = unsafe { found.as_ref() }
        && started.process == process::id()
    {
        return Ok(started.runtime.handle().clone());
    }
    let made = Box::into_raw(Box::new(Started { process: process::id(), runtime: start()? }));
    // What a parent process had is left as it is: its threads are not here to be ended.
    if STARTED.compare_exchange(found, made, Ordering::AcqRel, Ordering::Acquire).is_err() {
        // SAFETY: `made` came from `Box::into_raw`, and nobody else has seen it.
        let lost = unsafe { Box::from_raw(made) };
        lost.runtime.shutdown_background();
        return handle();
    }
    // SAFETY: `made` was leaked just now, and is never freed from here on.
    Ok(unsafe { &*made }.runtime.handle().clone())
}

fn start() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("onionskin")
        .thread_stack_size(threads::STACK)
        .on_thread_stop(threads::release)
        .enable_all()
        .build()
}

/// For work that would keep the one network thread from its work.
const BLOCKING_THREADS: usize = 16;
