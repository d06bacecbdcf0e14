//! The graceful stop: connections learn of it without having waited for it.
//!
//! Waiting for a stop in every idle connection would cost every request a registration. Instead the connections'
//! wakers are kept here, one a connection, and a stop wakes them all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::Notify;

/// Stops a server from anywhere.
#[derive(Clone, Debug, Default)]
pub struct StopHandle {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stage: AtomicU8,
    /// Whether connections that may be about to be used get a last chance.
    gentle: AtomicBool,
    changed: Notify,
    connections: Mutex<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    next: u64,
    wakers: HashMap<u64, Option<Waker>>,
}

// 0: serving.
const LEAVING: u8 = 1;
const STOPPING: u8 = 2;
const ABORTED: u8 = 3;

impl StopHandle {
    /// Begins the stop: nothing new is accepted, idle connections are closed, requests in flight go on.
    pub fn begin(&self) {
        self.advance(STOPPING);
    }

    /// Announces the stop: everything goes on, but whoever asks for readiness is told no.
    pub fn leave(&self) {
        self.advance(LEAVING);
    }

    /// Whether a stop was announced, or has begun.
    pub fn is_leaving(&self) -> bool {
        self.shared.stage.load(Ordering::Acquire) >= LEAVING
    }

    /// Begins a stop that no client is to notice: a connection that was used a moment ago, or has just been accepted,
    /// may send one more request. It is answered, with `Connection: close`.
    pub fn begin_gently(&self) {
        self.shared.gentle.store(true, Ordering::Release);
        self.advance(STOPPING);
    }

    /// Whether the stop has begun gently.
    pub(crate) fn is_gentle(&self) -> bool {
        self.shared.gentle.load(Ordering::Acquire)
    }

    /// How many connections are open.
    pub(crate) fn open_connections(&self) -> usize {
        self.connections().wakers.len()
    }

    /// Ends what is still in flight.
    pub fn abort(&self) {
        self.advance(ABORTED);
    }

    /// Whether the stop has begun.
    pub fn is_stopping(&self) -> bool {
        self.shared.stage.load(Ordering::Acquire) >= STOPPING
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.shared.stage.load(Ordering::Acquire) == ABORTED
    }

    /// Waits until the stop begins.
    pub async fn begun(&self) {
        self.wait_until(|| self.is_stopping()).await;
    }

    /// Waits until every connection has ended. Tells whether that came to pass before an abort.
    pub(crate) async fn idle(&self) -> bool {
        self.wait_until(|| self.is_aborted() || self.connections().wakers.is_empty()).await;
        !self.is_aborted()
    }

    /// Waits until every connection has ended, abort or not.
    pub(crate) async fn empty(&self) {
        self.wait_until(|| self.connections().wakers.is_empty()).await;
    }

    async fn wait_until(&self, holds: impl Fn() -> bool) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if holds() {
                return;
            }
            changed.await;
        }
    }

    /// Enters a connection, until what is returned is dropped.
    pub(crate) fn enter(&self) -> Entered {
        let mut connections = self.connections();
        connections.next += 1;
        let key = connections.next;
        connections.wakers.insert(key, None);
        Entered { stop: self.clone(), key }
    }

    fn advance(&self, stage: u8) {
        self.shared.stage.fetch_max(stage, Ordering::AcqRel);
        self.shared.changed.notify_waiters();
        let wakers: Vec<Waker> = self.connections().wakers.values().flatten().cloned().collect();
        for waker in wakers {
            waker.wake();
        }
    }

    fn connections(&self) -> MutexGuard<'_, Connections> {
        // A panic cannot leave the table half changed.
        self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's entry.
#[derive(Debug)]
pub(crate) struct Entered {
    stop: StopHandle,
    key: u64,
}

impl Entered {
    /// Has `waker` woken at every stage of the stop. A task's waker stays the same, so once is enough.
    pub(crate) fn wake_with(&self, waker: &Waker) {
        self.stop.connections().wakers.insert(self.key, Some(waker.clone()));
    }

    pub(crate) fn stop(&self) -> &StopHandle {
        &self.stop
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let last = {
            let mut connections = self.stop.connections();
            connections.wakers.remove(&self.key);
            connections.wakers.is_empty()
        };
        if last && self.stop.is_stopping() {
            self.stop.shared.changed.notify_waiters();
        }
    }
}
