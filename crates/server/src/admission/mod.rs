//! How many connections there may be: when there are as many, those that have been idle the longest leave first.
//!
//! A connection notes since when it is idle, and nobody reads that until a place is wanted. So a request costs two plain
//! stores, and an idle connection no more than before. Idle are those between two requests; and, once they have had a
//! moment, those that have said nothing yet, are in the middle of a handshake, or of a request's head.
//!
//! With none idle, nothing is accepted until a place is free: the kernel keeps who comes meanwhile (`backlog`). Answers
//! that are sent in that time are the last on their connections.
//!
//! ```text
//! loop {
//!     admission.room(&stop, &listener).await; // waits while every place is taken
//!     let accepted = listener.accept().await;
//!     let seat = admission.seat();
//!     admission.balance(&stop);           // one too many: the longest idle leaves
//! }
//! ```

mod addresses;
mod number;
mod share;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use onion::Trouble;
use rustix::io::Errno;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use crate::metrics::{Incident, Incidents};
use crate::stop::StopHandle;
pub(crate) use addresses::{Addresses, Handshake, Place, TooMany};
pub use number::Connections;
pub(crate) use number::open_files;
pub use share::AddressLimit;

/// The places of one server.
#[derive(Debug)]
pub(crate) struct Admission {
    most: usize,
    /// What times are counted from.
    epoch: Instant,
    open: AtomicUsize,
    /// Every place is taken, nobody is idle, and somebody waits to be accepted.
    wanted: AtomicBool,
    freed: Notify,
    /// Those that were the longest idle when they were last looked for: their keys, and since when.
    candidates: Mutex<VecDeque<(u64, u64)>>,
    crowded: Trouble,
    exhausted: Trouble,
    incidents: Arc<Incidents>,
    /// `None` if no client address is limited.
    addresses: Option<Arc<Addresses>>,
}

impl Admission {
    /// For `most` connections.
    pub(crate) fn new(
        most: usize,
        incidents: Arc<Incidents>,
        addresses: Option<Arc<Addresses>>,
    ) -> Arc<Self> {
        Arc::new(Admission {
            most,
            addresses,
            epoch: Instant::now(),
            open: AtomicUsize::new(0),
            wanted: AtomicBool::new(false),
            freed: Notify::new(),
            candidates: Mutex::default(),
            crowded: Trouble::new(),
            exhausted: Trouble::new(),
            incidents,
        })
    }

    /// Counts a connection for its client's address; `None` if that has no limits.
    pub(crate) fn enter(&self, peer: Option<IpAddr>) -> Result<Option<Place>, TooMany> {
        match (&self.addresses, peer) {
            (Some(addresses), Some(peer)) => addresses.enter(peer),
            _ => Ok(None),
        }
    }

    /// The place of a connection that was just accepted.
    pub(crate) fn seat(self: &Arc<Self>) -> Arc<Seat> {
        self.open.fetch_add(1, SeqCst);
        let fresh = self.clock(Instant::now() + GRACE);
        Arc::new(Seat {
            admission: Arc::clone(self),
            since: AtomicU64::new(fresh),
            told: AtomicU64::new(0),
            has_streams: AtomicBool::new(false),
            has_counted: AtomicBool::new(false),
            place: OnceLock::new(),
        })
    }

    /// Waits until a connection may be accepted: there is a place, or somebody idle who has one. `listener` is another
    /// descriptor of the socket than the one that accepts.
    pub(crate) async fn room(&self, stop: &StopHandle, listener: &OwnedFd) {
        if self.open.load(SeqCst) < self.most {
            return;
        }
        loop {
            self.wanted.store(false, SeqCst);
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let open = self.open.load(SeqCst);
            let has_idle = open >= self.most && self.longest_idle(stop).is_some();
            if open < self.most || (open == self.most && has_idle) {
                return;
            }
            if !has_idle {
                // Nobody has to hurry before somebody comes.
                tokio::select! {
                    () = &mut freed => continue,
                    () = newcomer(listener) => {}
                }
                if self.longest_idle(stop).is_some() {
                    continue;
                }
                self.wanted.store(true, SeqCst);
                self.crowded.report(|| {
                    format!("all {} connections are taken, and none is idle: further ones wait", self.most)
                });
            }
            if timeout(LOOK, freed).await.is_err() {
                // Who was told to leave had a request to answer: another one has to.
                self.balance(stop);
            }
        }
    }

    /// Has the longest idle connection leave if there is one connection too many.
    pub(crate) fn balance(&self, stop: &StopHandle) {
        if self.open.load(SeqCst) > self.most {
            self.send_away(stop);
        }
    }

    /// The system gives out no further sockets: makes room, and waits for it.
    pub(crate) async fn exhausted(&self, stop: &StopHandle, error: &io::Error) {
        self.incidents.count(Incident::NotAccepted);
        self.exhausted.report(|| format!("no connection can be accepted for now: {error}"));
        let freed = self.freed.notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        let of_descriptors = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        if of_descriptors.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) {
            for _ in 0..SENT_AWAY {
                self.send_away(stop);
            }
        }
        // Either way: it is tried again. Never at once, since that would only burn the CPU.
        let _ = timeout(EXHAUSTED, freed).await;
    }

    /// Has the longest idle connection leave, if any is idle.
    fn send_away(&self, stop: &StopHandle) {
        if let Some((key, since)) = self.longest_idle(stop) {
            lock(&self.candidates).pop_front();
            self.incidents.count(Incident::Shed);
            stop.send_away(key, since);
        }
    }

    /// Who has been idle the longest, and since when.
    fn longest_idle(&self, stop: &StopHandle) -> Option<(u64, u64)> {
        let mut candidates = lock(&self.candidates);
        while let Some((key, since)) = candidates.front().copied() {
            if stop.is_idle_since(key, since) {
                return Some((key, since));
            }
            candidates.pop_front();
        }
        // Whoever was no candidate has been idle for less long than those who were: so the order holds until the last.
        let rested = self.clock(Instant::now()).saturating_sub(REST);
        *candidates = stop.longest_idle(self, rested, CANDIDATES);
        candidates.front().copied()
    }

    /// The nanoseconds up to `instant`; never 0.
    fn clock(&self, instant: Instant) -> u64 {
        let passed = instant.saturating_duration_since(self.epoch);
        passed.as_secs() * 1_000_000_000 + u64::from(passed.subsec_nanos()) + 1
    }
}

/// Waits until somebody wants to be accepted, without accepting: another process may have a place.
async fn newcomer(listener: &OwnedFd) {
    // The runtime has no name for a listener that is only looked at. What kind of socket it is does not matter to it.
    let watched = listener.try_clone().and_then(|socket| UnixStream::from_std(socket.into()));
    match watched {
        // It can only fail together with the runtime.
        Ok(listener) => drop(listener.readable().await),
        Err(_) => sleep(LOOK).await,
    }
}

/// How long a connection that says nothing, or not yet a whole head, does not count as idle.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// For how many nanoseconds a connection between two requests has to be idle before it makes room: who just got an answer
/// may be about to ask for more, and would find the connection closed. Less than [`LOOK`], so that nobody waits longer.
const REST: u64 = 50_000_000;

/// How often somebody who waits for a place looks for idle connections. Most of those that have just become idle end
/// by themselves then; this is for the few that were about to while it began.
const LOOK: Duration = Duration::from_millis(100);

/// How long to wait when the process has no file descriptors left, unless a connection ends before.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// So many connections leave at a time when descriptors are short: others than the listeners want some, too.
const SENT_AWAY: usize = 4;

/// Looking through all connections is done once for so many that leave.
const CANDIDATES: usize = 256;

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    admission: Arc<Admission>,
    /// Since when it is idle; later than now while it is not.
    since: AtomicU64,
    /// The time in `since` for which it was told to leave; 0 if it never was.
    told: AtomicU64,
    /// Whether its requests are streams.
    has_streams: AtomicBool,
    /// Whether a request on the connection itself is counted for its client's address.
    has_counted: AtomicBool,
    /// Of a client whose address has limits.
    place: OnceLock<Place>,
}

/// Not idle.
const BUSY: u64 = u64::MAX;

impl Seat {
    /// The connection is idle since `now`.
    #[inline]
    pub(crate) fn rest(&self, now: Instant) {
        self.since.store(self.admission.clock(now), Relaxed);
    }

    /// A request has come.
    #[inline]
    pub(crate) fn work(&self) {
        self.since.store(BUSY, Relaxed);
    }

    /// The connection counts for its client's address while it lasts.
    pub(crate) fn limit(&self, place: Option<Place>) {
        if let Some(place) = place {
            // It is set once, when the client is known.
            let _ = self.place.set(place);
        }
    }

    /// A TLS handshake begins. `Err` if its client's address has too many in progress.
    pub(crate) fn begin_handshake(&self) -> Result<Option<Handshake>, TooMany> {
        self.place.get().map(|place| place.handshake().ok_or(TooMany)).transpose()
    }

    /// A request has come on the connection itself. Returns false if its client's address has too many.
    #[inline]
    pub(crate) fn begin_request(&self) -> bool {
        let Some(place) = self.place.get() else { return true };
        let begun = place.begin_request();
        self.has_counted.store(begun, Relaxed);
        begun
    }

    /// It was answered.
    #[inline]
    pub(crate) fn end_request(&self) {
        if let Some(place) = self.place.get()
            && self.has_counted.load(Relaxed)
        {
            self.has_counted.store(false, Relaxed);
            place.end_request();
        }
    }

    /// A request has come as a stream. Returns false if its client's address has too many.
    pub(crate) fn begin_stream(&self) -> bool {
        self.place.get().is_none_or(Place::begin_request)
    }

    /// A stream that was begun has ended.
    pub(crate) fn end_stream(&self) {
        if let Some(place) = self.place.get() {
            place.end_request();
        }
    }

    /// Its requests are streams from now on.
    pub(crate) fn multiplex(&self) {
        self.has_streams.store(true, Relaxed);
    }

    /// Whether a request is being answered on the connection itself, and not on its streams.
    pub(crate) fn has_request(&self) -> bool {
        self.since.load(Relaxed) == BUSY && !self.has_streams.load(Relaxed)
    }

    /// Whether the connection has to end now: it was told to, and nothing has come since.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        let told = self.told.load(Relaxed);
        told != 0 && told == self.since.load(Relaxed)
    }

    /// Whether the next answer is to be the connection's last.
    #[inline]
    pub(crate) fn is_wanted(&self) -> bool {
        self.told.load(Relaxed) != 0 || self.admission.wanted.load(Relaxed)
    }

    /// Since when it is idle, if it belongs to `admission` and is.
    pub(crate) fn idle(&self, admission: &Admission, now: u64) -> Option<u64> {
        let since = self.since.load(Relaxed);
        // One that was told so, and has not gone yet, will go.
        let is_told = since == self.told.load(Relaxed);
        (since <= now && !is_told && std::ptr::eq(&raw const *self.admission, admission)).then_some(since)
    }

    /// Whether it is idle since then.
    pub(crate) fn is_idle_since(&self, since: u64) -> bool {
        self.since.load(Relaxed) == since && self.told.load(Relaxed) != since
    }

    /// Has the connection end, as soon as it is woken, unless a request comes before.
    pub(crate) fn send_away(&self, since: u64) {
        self.told.store(since, SeqCst);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.end_request();
        self.admission.open.fetch_sub(1, SeqCst);
        // No more than an atomic look where nobody waits.
        self.admission.freed.notify_waiters();
    }
}

/// Nothing that runs under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
