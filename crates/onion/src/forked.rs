//! Logs in a process that was forked from a server, where no other thread is.
//!
//! A lock that another thread held at the fork is never released there, and the threads that write log files are in the
//! parent. So such a process writes to its logs directly, and takes no lock for it.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static FORKED: AtomicBool = AtomicBool::new(false);

/// Makes the logs of this process independent of threads and locks, or no longer.
pub fn log_as_fork(forked: bool) {
    FORKED.store(forked, Relaxed);
}

pub(crate) fn logs_as_fork() -> bool {
    FORKED.load(Relaxed)
}
