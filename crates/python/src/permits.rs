//! How many calls into Python may run at once, and when a further one begins.
//!
//! `threads` is the most. But while calls are short, a second one at a time gains nothing: the two would only fight
//! for the GIL. So a further call starts when the running one has grown old (it outlived a tick of the watchdog:
//! it sleeps, waits for a database, or computes), and as many at a time as have proved to grow old lately. So 64
//! threads serve short calls like one thread, and calls that sleep like 64.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use server::{Load, Loaded};

/// The permits of one server.
pub(crate) struct Permits {
    threads: usize,
    queue: Queue,
    gate: Mutex<Gate>,
    /// Tells the watchdog that there is something to watch.
    watch: Condvar,
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

struct Gate {
    /// Counts the ticks.
    tick: u64,
    /// Calls that began in this tick, and in the one before.
    young: [usize; 2],
    /// Calls that have lived through a whole tick.
    old: usize,
    /// How many young calls may run at once.
    allowance: usize,
    /// Whether a call has ended young since the last tick.
    ended_young: bool,
    waiting: VecDeque<Arc<Mutex<Waiting>>>,
    /// How many of those have not gone away.
    queued: usize,
    watchdog: Watch,
    quiet: u32,
    /// Something else than a call blocks a thread.
    alarmed: bool,
    /// Those who were sent away: at once, and when they had waited for too long.
    refused: u64,
    expired: u64,
}

/// What the watchdog does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Asleep,
    Awake,
    /// There is none.
    Closed,
}

/// One call's place in the queue.
struct Waiting {
    waker: Waker,
    since: Instant,
    permit: Option<Result<u64, Crowded>>,
    abandoned: bool,
}

/// Permits one call, until it is dropped.
pub(crate) struct Permit {
    permits: Arc<Permits>,
    tick: u64,
}

/// What the watchdog learns from a tick.
pub(crate) struct Tick {
    /// A thread is blocked that was not, and may have been the one that attended the network.
    pub(crate) alarmed: bool,
    /// How many threads calls may block: those that do, and those that may in the next tick.
    pub(crate) blocked: usize,
}

/// After so many ticks without a young call the watchdog goes to sleep.
const QUIET_TICKS: u32 = 100;

impl Gate {
    /// How many run.
    fn calls(&self) -> usize {
        self.young.iter().sum::<usize>() + self.old
    }
}

impl Permits {
    pub(crate) fn new(threads: usize, queue: Queue) -> Arc<Self> {
        let gate = Gate {
            tick: 0,
            young: [0; 2],
            old: 0,
            allowance: 1,
            ended_young: false,
            waiting: VecDeque::new(),
            queued: 0,
            watchdog: Watch::Closed,
            quiet: 0,
            alarmed: false,
            refused: 0,
            expired: 0,
        };
        Arc::new(Permits { threads, queue, gate: Mutex::new(gate), watch: Condvar::new() })
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// Waits for a permit.
    pub(crate) fn acquire(self: Arc<Self>) -> Acquire {
        Acquire { permits: Some(self), place: None }
    }

    /// One tick of the watchdog.
    pub(crate) fn tick(&self) -> Tick {
        let mut gate = self.gate();
        let [young, aged] = gate.young;
        gate.tick += 1;
        gate.young = [0, young];
        gate.old += aged;
        if aged > 0 && !gate.waiting.is_empty() {
            gate.allowance = (gate.allowance * 2).min(self.threads);
        } else if aged == 0 && gate.ended_young {
            gate.allowance = (gate.allowance / 2).max(1);
        }
        gate.ended_young = false;
        self.expire(&mut gate);
        self.grant(&mut gate);
        self.trim(&mut gate);
        gate.quiet = if gate.young == [0; 2] && gate.waiting.is_empty() { gate.quiet + 1 } else { 0 };
        let blocked = if gate.old == 0 { 0 } else { gate.old + gate.allowance - 1 };
        let alarmed = std::mem::take(&mut gate.alarmed) || aged > 0;
        Tick { alarmed, blocked: blocked.min(self.threads) }
    }

    /// The watchdog waits until there is something to watch. Tells whether to go on.
    pub(crate) fn watch(&self) -> bool {
        let mut gate = self.gate();
        if gate.quiet > QUIET_TICKS && gate.watchdog == Watch::Awake {
            gate.watchdog = Watch::Asleep;
        }
        while gate.watchdog == Watch::Asleep {
            gate = self.watch.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        gate.watchdog == Watch::Awake
    }

    /// Has the watchdog look after the network: the thread that calls is about to block.
    pub(crate) fn alarm(&self) {
        let mut gate = self.gate();
        gate.alarmed = true;
        self.call_watchdog(&mut gate);
    }

    fn call_watchdog(&self, gate: &mut Gate) {
        // Also when it is awake: it may be about to go to sleep.
        gate.quiet = 0;
        if gate.watchdog == Watch::Asleep {
            gate.watchdog = Watch::Awake;
            self.watch.notify_one();
        }
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

    /// Begins a call if one may begin now.
    fn begin(&self, gate: &mut Gate) -> Option<u64> {
        let [young, aging] = gate.young;
        let young = young + aging;
        if young >= gate.allowance || young + gate.old >= self.threads {
            return None;
        }
        gate.young[0] += 1;
        self.call_watchdog(gate);
        Some(gate.tick)
    }

    /// Lets those who wait begin, as far as they may.
    fn grant(&self, gate: &mut Gate) {
        while let Some(place) = gate.waiting.front() {
            let place = Arc::clone(place);
            let mut place = lock(&place);
            if !place.abandoned {
                let Some(tick) = self.begin(gate) else { return };
                gate.queued -= 1;
                place.permit = Some(Ok(tick));
                place.waker.wake_by_ref();
            }
            gate.waiting.pop_front();
        }
    }

    /// Sends away those who have waited for too long.
    fn expire(&self, gate: &mut Gate) {
        if gate.waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        while let Some(place) = gate.waiting.front() {
            let place = Arc::clone(place);
            let mut place = lock(&place);
            if !place.abandoned {
                if now.saturating_duration_since(place.since) < self.queue.patience {
                    return;
                }
                gate.queued -= 1;
                gate.expired += 1;
                place.permit = Some(Err(Crowded));
                place.waker.wake_by_ref();
            }
            gate.waiting.pop_front();
        }
    }

    /// Sends away those who came last, if the queue is too long: they came before every thread was taken.
    fn trim(&self, gate: &mut Gate) {
        while gate.queued > self.queue.most && gate.calls() >= self.threads {
            let Some(place) = gate.waiting.pop_back() else { return };
            let mut place = lock(&place);
            if !place.abandoned {
                gate.queued -= 1;
                gate.refused += 1;
                place.permit = Some(Err(Crowded));
                place.waker.wake_by_ref();
            }
        }
    }

    /// A place at the end of the queue, if there is one.
    fn queue(&self, gate: &mut Gate, waker: &Waker) -> Result<Arc<Mutex<Waiting>>, Crowded> {
        // While calls are short most threads are kept free: who waits then has a turn in no time.
        if gate.queued >= self.queue.most && gate.calls() >= self.threads {
            gate.refused += 1;
            return Err(Crowded);
        }
        if gate.waiting.len() > 2 * gate.queued + ABANDONED_MOST {
            gate.waiting.retain(|place| !lock(place).abandoned);
        }
        let waiting = Waiting { waker: waker.clone(), since: Instant::now(), permit: None, abandoned: false };
        let place = Arc::new(Mutex::new(waiting));
        gate.waiting.push_back(Arc::clone(&place));
        gate.queued += 1;
        Ok(place)
    }

    fn end(&self, tick: u64) {
        let mut gate = self.gate();
        match gate.tick - tick {
            0 => gate.young[0] -= 1,
            1 => gate.young[1] -= 1,
            _ => gate.old -= 1,
        }
        gate.ended_young |= gate.tick - tick < 2;
        if !gate.waiting.is_empty() {
            self.grant(&mut gate);
        }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        lock(&self.gate)
    }
}

impl Loaded for Permits {
    fn load(&self) -> Load {
        let gate = self.gate();
        Load {
            calls: gate.calls(),
            threads: self.threads,
            waiting: gate.queued,
            queue: self.queue.most,
            refused: gate.refused,
            expired: gate.expired,
        }
    }
}

/// So many who have gone away may be left in the queue.
const ABANDONED_MOST: usize = 64;

/// No code that runs under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.end(self.tick);
    }
}

/// A permit to come.
pub(crate) struct Acquire {
    // Until it goes over to the permit.
    permits: Option<Arc<Permits>>,
    place: Option<Arc<Mutex<Waiting>>>,
}

impl Acquire {
    fn poll_tick(&mut self, permits: &Permits, context: &Context<'_>) -> Poll<Result<u64, Crowded>> {
        if let Some(place) = &self.place {
            let mut waiting = lock(place);
            if let Some(tick) = waiting.permit.take() {
                drop(waiting);
                self.place = None;
                return Poll::Ready(tick);
            }
            waiting.waker.clone_from(context.waker());
            return Poll::Pending;
        }
        let mut gate = permits.gate();
        if gate.waiting.is_empty()
            && let Some(tick) = permits.begin(&mut gate)
        {
            return Poll::Ready(Ok(tick));
        }
        match permits.queue(&mut gate, context.waker()) {
            Ok(place) => self.place = Some(place),
            Err(crowded) => return Poll::Ready(Err(crowded)),
        }
        Poll::Pending
    }
}

impl Future for Acquire {
    type Output = Result<Permit, Crowded>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Permit, Crowded>> {
        let permits = self.permits.take().expect("it is not polled again once it has given its permit");
        match self.poll_tick(&permits, context) {
            Poll::Ready(outcome) => Poll::Ready(outcome.map(|tick| Permit { permits, tick })),
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
        let granted = {
            let mut waiting = lock(&place);
            waiting.abandoned = true;
            waiting.permit.take()
        };
        match granted {
            Some(Ok(tick)) => permits.end(tick),
            Some(Err(Crowded)) => {}
            None => permits.gate().queued -= 1,
        }
    }
}
