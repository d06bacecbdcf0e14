//! Counts the requests of a worker, and knows when they are enough.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::Notify;

/// The count.
#[derive(Debug)]
pub(crate) struct Tally {
    requests: AtomicU64,
    /// After so many the worker asks for a successor; never, if 0.
    most: u64,
    full: Notify,
}

impl Tally {
    pub(crate) fn new(most: u64) -> Self {
        Tally { requests: AtomicU64::new(0), most, full: Notify::new() }
    }

    /// One request more.
    pub(crate) fn count(&self) {
        if self.requests.fetch_add(1, Relaxed) + 1 == self.most {
            self.full.notify_one();
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Waits until there were enough; comes once.
    pub(crate) async fn full(&self) {
        self.full.notified().await;
    }
}
