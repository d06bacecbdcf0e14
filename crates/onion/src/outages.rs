//! How often a store of sessions was found not to answer, for the metrics of the server.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static STORE: AtomicU64 = AtomicU64::new(0);

/// A store fails.
pub fn count_store_outage() {
    STORE.fetch_add(1, Relaxed);
}

/// How often a store began to fail, in this process.
pub fn store_outages() -> u64 {
    STORE.load(Relaxed)
}
