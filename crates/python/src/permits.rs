//! How many calls into Python may run at once, and when a further one begins.
//!
//! `threads` is the most. But while calls are short, a second one at a time gains nothing: the two would only fight
//! for the GIL. So a further call starts when the running one has grown old (it outlived a tick of the watchdog:
//! it sleeps, waits for a database, or computes), and as many at a time as have proved to grow old lately. So 64
//! threads serve short calls like one thread, and calls that sleep like 64.
//!
//! An application may have a limit of its own ([`Limit`]). Its requests wait in a line of their own, so that they hold up
//! no others; but `queue` and `queue_timeout` hold for all that wait, and all are counted here.

#[path = "permits/gate.rs"]
mod gate;

use std::fmt::Debug;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use onion::{Calls, Limit};
use server::{LimitLoad, Load, Loaded};

use gate::{Asked, Gate, Place, Watch};

/// The permits of one server.
pub(crate) struct Permits {
    threads: usize,
    queue: Queue,
    gate: Mutex<Gate>,
    /// Tells the watchdog that there is something to watch.
    watch: Arc<Condvar>,
}

/// How requests may wait for their turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue {
    /// How many, once every thread is taken.
    pub(crate) most: usize,
    /// How long.
    pub(crate) patience: Duration,
}

/// The request may wait no longer, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

/// Permits one call, until it is dropped.
pub(crate) struct Permit {
    permits: Arc<Permits>,
    tick: u64,
    /// The applications that the call counts for.
    limits: Vec<usize>,
}

/// What the watchdog learns from a tick.
pub(crate) struct Tick {
    /// A thread is blocked that was not, and may have been the one that attended the network.
    pub(crate) alarmed: bool,
    /// How many threads calls may block: those that do, and those that may in the next tick.
    pub(crate) blocked: usize,
}

impl Permits {
    pub(crate) fn new(threads: usize, queue: Queue) -> Arc<Self> {
        let watch = Arc::new(Condvar::new());
        let gate = Mutex::new(Gate::new(threads, queue, Arc::clone(&watch)));
        Arc::new(Permits { threads, queue, gate, watch })
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Makes the limits of applications known, so that they are reported before the first request.
    pub(crate) fn know(&self, limits: &[Arc<Limit>]) {
        let mut gate = self.gate();
        for limit in limits {
            gate.place_of(limit);
        }
    }

    /// A permit for a call under no limit but the server's own, if one may begin now. Otherwise gives the permits back,
    /// to be waited for with [`acquire`](Self::acquire).
    #[inline]
    pub(crate) fn begin_now(self: Arc<Self>, limits: &[Arc<Limit>]) -> Result<Permit, Arc<Self>> {
        let tick = if limits.is_empty() { self.gate().begin_now() } else { None };
        match tick {
            Some(tick) => Ok(Permit { permits: self, tick, limits: Vec::new() }),
            None => Err(self),
        }
    }

    /// Waits for a permit under the limits of applications, the outermost first.
    pub(crate) fn acquire(self: Arc<Self>, limits: Vec<Arc<Limit>>) -> Acquire {
        Acquire { permits: Some(self), wanted: limits, limits: Vec::new(), place: None }
    }

    /// Whether a request that came now would be turned away.
    pub(crate) fn is_full(&self) -> bool {
        self.gate().is_full()
    }

    /// One tick of the watchdog.
    pub(crate) fn tick(&self) -> Tick {
        let (alarmed, blocked) = self.gate().tick();
        Tick { alarmed, blocked }
    }

    /// The watchdog waits until there is something to watch. Tells whether to go on.
    pub(crate) fn watch(&self) -> bool {
        let mut gate = self.gate();
        if gate.is_quiet() && gate.watchdog == Watch::Awake {
            gate.watchdog = Watch::Asleep;
        }
        while gate.watchdog == Watch::Asleep {
            gate = self.watch.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        gate.watchdog == Watch::Awake
    }

    /// Has the watchdog look after the network: the thread that calls is about to block.
    pub(crate) fn alarm(&self) {
        self.gate().alarm();
    }

    /// Lets a watchdog begin.
    pub(crate) fn open(&self) {
        self.gate().watchdog = Watch::Asleep;
    }

    /// Sends the watchdog home.
    pub(crate) fn close(&self) {
        self.gate().watchdog = Watch::Closed;
        self.watch.notify_all();
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        lock(&self.gate)
    }
}

/// Where calls may wait for their clients, so many do so at a time without counting: each holds a thread.
const PAUSED_MOST: usize = 32;

impl Calls for Permits {
    fn pause(&self) {
        self.gate().pause();
    }

    fn resume(&self) {
        self.gate().resume();
    }

    fn pauses_most(&self) -> usize {
        // An application that is called by one thread is not called again before it has ended.
        if self.threads > 1 { PAUSED_MOST } else { 0 }
    }
}

impl Debug for Permits {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Permits").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl Loaded for Permits {
    fn load(&self) -> Load {
        let gate = self.gate();
        let (waiting, limited) = gate.waiting();
        Load {
            calls: gate.calls() - gate.paused().min(gate.calls()),
            threads: self.threads,
            waiting,
            limited,
            queue: self.queue.most,
            refused: gate.refused,
            expired: gate.expired,
        }
    }

    fn limits(&self) -> Vec<LimitLoad> {
        self.gate().limits()
    }
}

/// No code that runs under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.gate().end(self.tick, &self.limits);
    }
}

/// A permit to come.
pub(crate) struct Acquire {
    // Until it goes over to the permit.
    permits: Option<Arc<Permits>>,
    /// The limits that it has to keep, until it has asked for the first time; then their places.
    wanted: Vec<Arc<Limit>>,
    limits: Vec<usize>,
    place: Option<Arc<Place>>,
}

impl Acquire {
    fn poll_tick(&mut self, permits: &Permits, context: &Context<'_>) -> Poll<Result<u64, Crowded>> {
        if let Some(place) = &self.place {
            let mut waiting = lock(&place.state);
            if let Some(outcome) = waiting.outcome.take() {
                drop(waiting);
                self.place = None;
                return Poll::Ready(outcome);
            }
            waiting.waker.clone_from(context.waker());
            return Poll::Pending;
        }
        let mut gate = permits.gate();
        if self.wanted.is_empty()
            && let Some(tick) = gate.begin_now()
        {
            return Poll::Ready(Ok(tick));
        }
        self.limits = mem::take(&mut self.wanted).iter().map(|limit| gate.place_of(limit)).collect();
        match gate.ask(self.limits.clone(), context.waker()) {
            Asked::Began(tick) => Poll::Ready(Ok(tick)),
            Asked::Refused(crowded) => Poll::Ready(Err(crowded)),
            Asked::Waits(place) => {
                self.place = Some(place);
                Poll::Pending
            }
        }
    }
}

impl Future for Acquire {
    type Output = Result<Permit, Crowded>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Permit, Crowded>> {
        let permits = self.permits.take().expect("it is not polled again once it has given its permit");
        match self.poll_tick(&permits, context) {
            Poll::Ready(outcome) => {
                let limits = mem::take(&mut self.limits);
                Poll::Ready(outcome.map(|tick| Permit { permits, tick, limits }))
            }
            Poll::Pending => {
                self.permits = Some(permits);
                Poll::Pending
            }
        }
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let (Some(place), Some(permits)) = (self.place.take(), self.permits.take()) else { return };
        let mut gate = permits.gate();
        if let Some(tick) = gate.abandon(&place) {
            gate.end(tick, &self.limits);
        }
    }
}
