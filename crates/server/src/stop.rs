//! The graceful stop: connections learn of it without having waited for it.
//!
//! Waiting for a stop in every idle connection would cost every request a registration. Instead the connections'
//! wakers are kept here, one a connection, and a stop wakes them all.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::admission::{Admission, Seat};
use crate::stay::Stay;

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
    entries: HashMap<u64, Entry>,
}

/// What is known of one of them.
#[derive(Debug)]
struct Entry {
    waker: Option<Waker>,
    part: Part,
}

/// What a stop waits for.
#[derive(Debug)]
pub(crate) enum Part {
    Connection(Arc<Seat>),
    /// A stream of HTTP/2.
    Stream,
    /// Work for a connection or a stream that is counted already.
    Aside,
}

impl Part {
    fn seat(&self) -> Option<&Arc<Seat>> {
        if let Part::Connection(seat) = self { Some(seat) } else { None }
    }

    fn is_request(&self) -> bool {
        match self {
            Part::Connection(seat) => seat.has_request(),
            Part::Stream => true,
            Part::Aside => false,
        }
    }
}

/// What is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) connections: usize,
    pub(crate) requests: usize,
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
        self.in_flight().connections
    }

    /// The connections that are open, and the requests that are being answered.
    pub(crate) fn in_flight(&self) -> InFlight {
        let connections = self.connections();
        let parts = || connections.entries.values().map(|entry| &entry.part);
        InFlight {
            connections: parts().filter(|part| part.seat().is_some()).count(),
            requests: parts().filter(|part| part.is_request()).count(),
        }
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
        self.wait_until(|| self.is_aborted() || self.connections().entries.is_empty()).await;
        !self.is_aborted()
    }

    /// Waits until every connection has ended, abort or not.
    pub(crate) async fn empty(&self) {
        self.wait_until(|| self.connections().entries.is_empty()).await;
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

    /// Enters a connection, or a part of one, until what is returned is dropped.
    pub(crate) fn enter(&self, part: Part) -> Entered {
        let mut connections = self.connections();
        connections.next += 1;
        let key = connections.next;
        connections.entries.insert(key, Entry { waker: None, part });
        Entered { stop: self.clone(), key }
    }

    /// Runs `future` in a task of its own, which the stop waits for as it does for a connection. The task keeps its thread
    /// while it holds something that is bound to it ([`onion::ThreadBound`]).
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        tokio::spawn(Stay::new(self.enter(Part::Aside), future)).abort_handle()
    }

    /// The keys of those that have been idle the longest, no more than `most`, and since when.
    pub(crate) fn longest_idle(&self, of: &Admission, now: u64, most: usize) -> VecDeque<(u64, u64)> {
        let mut longest = BTreeSet::new();
        for (key, entry) in &self.connections().entries {
            let Some(since) = entry.part.seat().and_then(|seat| seat.idle(of, now)) else { continue };
            if longest.len() < most {
                longest.insert((since, *key));
            } else if longest.last().is_some_and(|(last, _)| since < *last) {
                longest.pop_last();
                longest.insert((since, *key));
            }
        }
        longest.into_iter().map(|(since, key)| (key, since)).collect()
    }

    /// Whether that one is still idle since then.
    pub(crate) fn is_idle_since(&self, key: u64, since: u64) -> bool {
        let connections = self.connections();
        let seat = connections.entries.get(&key).and_then(|entry| entry.part.seat());
        seat.is_some_and(|seat| seat.is_idle_since(since))
    }

    /// Has an idle connection end.
    pub(crate) fn send_away(&self, key: u64, since: u64) {
        let waker = {
            let connections = self.connections();
            let Some(entry) = connections.entries.get(&key) else { return };
            if let Some(seat) = entry.part.seat() {
                seat.send_away(since);
            }
            entry.waker.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn advance(&self, stage: u8) {
        self.shared.stage.fetch_max(stage, Ordering::AcqRel);
        self.shared.changed.notify_waiters();
        let wakers: Vec<Waker> =
            self.connections().entries.values().filter_map(|entry| entry.waker.clone()).collect();
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
        if let Some(entry) = self.stop.connections().entries.get_mut(&self.key) {
            entry.waker = Some(waker.clone());
        }
    }

    pub(crate) fn stop(&self) -> &StopHandle {
        &self.stop
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let (entry, last) = {
            let mut connections = self.stop.connections();
            (connections.entries.remove(&self.key), connections.entries.is_empty())
        };
        drop(entry);
        if last && self.stop.is_stopping() {
            self.stop.shared.changed.notify_waiters();
        }
    }
}
