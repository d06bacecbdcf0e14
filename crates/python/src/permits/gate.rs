//! What runs, and what waits: for a thread, or for one of the calls that an application may have at once.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::task::Waker;
use std::time::Instant;

use onion::Limit;
use server::LimitLoad;

use super::{Crowded, Queue, lock};

/// The state of all calls of one server.
pub(super) struct Gate {
    threads: usize,
    queue: Queue,
    /// Counts the ticks.
    pub(super) tick: u64,
    /// Calls that began in this tick, and in the one before.
    young: [usize; 2],
    /// Calls that have lived through a whole tick.
    old: usize,
    /// How many young calls may run at once.
    allowance: usize,
    /// Whether a call has ended young since the last tick.
    ended_young: bool,
    /// Calls that wait for their clients: others may run in their place.
    paused: usize,
    /// Requests that wait for a thread.
    common: Line,
    /// The applications with a limit of their own.
    limited: Vec<Limited>,
    /// How many requests wait, in all lines.
    queued: usize,
    pub(super) watchdog: Watch,
    quiet: u32,
    /// Tells the watchdog that there is something to watch.
    watch: Arc<Condvar>,
    /// Something else than a call blocks a thread.
    alarmed: bool,
    /// Requests that were turned away: at once, and after they had waited for too long.
    pub(super) refused: u64,
    pub(super) expired: u64,
}

/// What the watchdog does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    Asleep,
    Awake,
    /// There is none.
    Closed,
}

/// Requests that wait for the same thing, in the order in which they came.
#[derive(Default)]
struct Line {
    waiting: VecDeque<Arc<Place>>,
    /// How many of those have not been abandoned.
    queued: usize,
}

/// An application with a limit of its own.
struct Limited {
    limit: Arc<Limit>,
    /// Requests that run, or wait for nothing but a thread.
    admitted: usize,
    line: Line,
    refused: u64,
    expired: u64,
}

/// One request's place in the queue.
pub(super) struct Place {
    since: Instant,
    pub(super) state: Mutex<Waiting>,
}

pub(super) struct Waiting {
    pub(super) waker: Waker,
    pub(super) outcome: Option<Result<u64, Crowded>>,
    abandoned: bool,
    /// The applications that it needs to be admitted to, by their places, and by how many of them it was.
    limits: Vec<usize>,
    admitted: usize,
}

/// What became of a request that asked to begin.
pub(super) enum Asked {
    Began(u64),
    Waits(Arc<Place>),
    Refused(Crowded),
}

/// After so many ticks without a young call the watchdog goes to sleep.
const QUIET_TICKS: u32 = 100;

/// So many abandoned places may be left in a line.
const ABANDONED_MOST: usize = 64;

impl Line {
    /// Puts a place where it belongs: a request that waited elsewhere before may have come earlier than the last.
    fn insert(&mut self, place: Arc<Place>) {
        if self.waiting.len() > 2 * self.queued + ABANDONED_MOST {
            self.waiting.retain(|place| !lock(&place.state).abandoned);
        }
        let behind = self.waiting.iter().rev().take_while(|other| other.since > place.since).count();
        self.waiting.insert(self.waiting.len() - behind, place);
        self.queued += 1;
    }
}

impl Gate {
    pub(super) fn new(threads: usize, queue: Queue, watch: Arc<Condvar>) -> Self {
        Gate {
            threads,
            queue,
            tick: 0,
            young: [0; 2],
            old: 0,
            allowance: 1,
            ended_young: false,
            paused: 0,
            common: Line::default(),
            limited: Vec::new(),
            queued: 0,
            watchdog: Watch::Closed,
            quiet: 0,
            watch,
            alarmed: false,
            refused: 0,
            expired: 0,
        }
    }

    /// How many calls run.
    pub(super) fn calls(&self) -> usize {
        self.young.iter().sum::<usize>() + self.old
    }

    /// How many requests wait, and how many of those for an application's own limit.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.queued, self.queued - self.common.queued)
    }

    /// The place of an application's limit, which is added if it is not known yet.
    pub(super) fn place_of(&mut self, limit: &Arc<Limit>) -> usize {
        let known = self.limited.iter().position(|limited| Arc::ptr_eq(&limited.limit, limit));
        known.unwrap_or_else(|| {
            let (limit, line) = (Arc::clone(limit), Line::default());
            self.limited.push(Limited { limit, admitted: 0, line, refused: 0, expired: 0 });
            self.limited.len() - 1
        })
    }

    /// How busy the applications with a limit of their own are.
    pub(super) fn limits(&self) -> Vec<LimitLoad> {
        let loads = self.limited.iter().map(|limited| LimitLoad {
            name: limited.limit.name.to_string(),
            calls: limited.admitted,
            threads: limited.limit.most,
            waiting: limited.line.queued,
            refused: limited.refused,
            expired: limited.expired,
        });
        loads.collect()
    }

    /// One tick of the watchdog. Returns whether a thread is blocked that was not, and how many may be blocked.
    pub(super) fn tick(&mut self) -> (bool, usize) {
        let [young, aged] = self.young;
        self.tick += 1;
        self.young = [0, young];
        self.old += aged;
        if aged > 0 && self.common.queued > 0 {
            self.allowance = (self.allowance * 2).min(self.threads);
        } else if aged == 0 && self.ended_young {
            self.allowance = (self.allowance / 2).max(1);
        }
        self.ended_young = false;
        self.expire();
        self.grant();
        self.trim();
        self.quiet = if self.young == [0; 2] && self.queued == 0 { self.quiet + 1 } else { 0 };
        let blocked = if self.old == 0 { 0 } else { self.old + self.allowance - 1 };
        (std::mem::take(&mut self.alarmed) || aged > 0, blocked.min(self.threads))
    }

    /// Whether there has been nothing to watch for a while.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet > QUIET_TICKS
    }

    /// Makes the watchdog look after the network.
    pub(super) fn alarm(&mut self) {
        self.alarmed = true;
        self.call_watchdog();
    }

    fn call_watchdog(&mut self) {
        // Also when it is awake: it may be about to go to sleep.
        self.quiet = 0;
        if self.watchdog == Watch::Asleep {
            self.watchdog = Watch::Awake;
            self.watch.notify_one();
        }
    }

    /// Begins a call without a limit of its own, if nothing else waits and one may begin now.
    pub(super) fn begin_now(&mut self) -> Option<u64> {
        if self.common.queued == 0 { self.begin() } else { None }
    }

    /// Begins a call if one may begin now.
    fn begin(&mut self) -> Option<u64> {
        let [young, aging] = self.young;
        let young = young + aging;
        if young >= self.allowance || young + self.old >= self.threads + self.paused {
            return None;
        }
        self.young[0] += 1;
        self.call_watchdog();
        Some(self.tick)
    }

    /// Begins a call under these limits, or finds it a place to wait, if there is one.
    pub(super) fn ask(&mut self, limits: Vec<usize>, waker: &Waker) -> Asked {
        let mut admitted = 0;
        while admitted < limits.len() && self.admit(limits[admitted]) {
            admitted += 1;
        }
        if admitted == limits.len()
            && let Some(tick) = self.begin_now()
        {
            return Asked::Began(tick);
        }
        let line = limits.get(admitted).copied();
        // While calls are short most threads are kept free: a request that waits for one then has its turn in no time.
        let is_full = self.is_full() || line.is_some() && self.queued >= self.queue.most;
        if is_full && !self.make_room(line) {
            self.release(&limits[..admitted]);
            self.count_refused(&limits);
            return Asked::Refused(Crowded);
        }
        let waker = waker.clone();
        let waiting = Waiting { waker, outcome: None, abandoned: false, limits, admitted };
        let place = Arc::new(Place { since: Instant::now(), state: Mutex::new(waiting) });
        self.line(line).insert(Arc::clone(&place));
        self.queued += 1;
        // It is the watchdog who sends it away in time.
        self.call_watchdog();
        Asked::Waits(place)
    }

    /// Whether no further request may wait for a thread, unless one that waits elsewhere makes room for it.
    pub(super) fn is_full(&self) -> bool {
        self.queued >= self.queue.most && self.calls() >= self.threads + self.paused
    }

    /// A call waits for its client.
    pub(super) fn pause(&mut self) {
        self.paused += 1;
        self.grant();
    }

    /// It goes on, even if others run in its place by now.
    pub(super) fn resume(&mut self) {
        self.paused -= 1;
    }

    /// How many calls wait for their clients.
    pub(super) fn paused(&self) -> usize {
        self.paused
    }

    /// Admits a request to an application, if it may have a further one and none waits.
    fn admit(&mut self, place: usize) -> bool {
        let limited = &mut self.limited[place];
        let admits = limited.admitted < limited.limit.most && limited.line.queued == 0;
        limited.admitted += usize::from(admits);
        admits
    }

    /// The line for an application, or for a thread.
    fn line(&mut self, of: Option<usize>) -> &mut Line {
        match of {
            Some(place) => &mut self.limited[place].line,
            None => &mut self.common,
        }
    }

    /// Lets requests that wait for a thread begin, as far as they may.
    pub(super) fn grant(&mut self) {
        while let Some(place) = self.common.waiting.front() {
            let place = Arc::clone(place);
            let mut waiting = lock(&place.state);
            if !waiting.abandoned {
                let Some(tick) = self.begin() else { return };
                self.common.queued -= 1;
                self.settle(&mut waiting, Ok(tick));
            }
            self.common.waiting.pop_front();
        }
    }

    /// Gives a waiting request its outcome.
    fn settle(&mut self, waiting: &mut Waiting, outcome: Result<u64, Crowded>) {
        self.queued -= 1;
        waiting.outcome = Some(outcome);
        waiting.waker.wake_by_ref();
    }

    /// Ends the admission to these applications, and admits those that wait for it.
    fn release(&mut self, limits: &[usize]) {
        for &limit in limits {
            self.limited[limit].admitted -= 1;
            self.admit_waiting(limit);
        }
    }

    fn admit_waiting(&mut self, limit: usize) {
        while self.limited[limit].admitted < self.limited[limit].limit.most {
            let Some(place) = self.limited[limit].line.waiting.pop_front() else { return };
            let mut waiting = lock(&place.state);
            if waiting.abandoned {
                continue;
            }
            self.limited[limit].line.queued -= 1;
            self.limited[limit].admitted += 1;
            waiting.admitted += 1;
            while waiting.admitted < waiting.limits.len() && self.admit(waiting.limits[waiting.admitted]) {
                waiting.admitted += 1;
            }
            let line = waiting.limits.get(waiting.admitted).copied();
            match if line.is_none() { self.begin_now() } else { None } {
                Some(tick) => self.settle(&mut waiting, Ok(tick)),
                None => self.line(line).insert(Arc::clone(&place)),
            }
        }
    }

    /// Sends away the requests that have waited for too long.
    fn expire(&mut self) {
        if self.queued == 0 {
            return;
        }
        let (now, patience) = (Instant::now(), self.queue.patience);
        for line in (0..self.limited.len()).map(Some).chain([None]) {
            while let Some(place) = self.line(line).waiting.front().cloned() {
                let mut waiting = lock(&place.state);
                if !waiting.abandoned && now.saturating_duration_since(place.since) < patience {
                    break;
                }
                self.line(line).waiting.pop_front();
                if !waiting.abandoned {
                    self.expired += 1;
                    for &limit in &waiting.limits {
                        self.limited[limit].expired += 1;
                    }
                    self.turn_away(line, &mut waiting);
                }
            }
        }
    }

    /// Turns away a request that was taken out of `line`.
    fn turn_away(&mut self, line: Option<usize>, waiting: &mut Waiting) {
        self.line(line).queued -= 1;
        self.settle(waiting, Err(Crowded));
        self.release(&waiting.limits[..waiting.admitted]);
    }

    /// Turns away the last of the longest line, if the queue is too long: they came before every thread was taken.
    fn trim(&mut self) {
        while self.queued > self.queue.most && self.calls() >= self.threads && self.evict(self.longest().1) {}
    }

    /// Turns away the last request of the longest line, if that is longer than `line`: an application with many waiting
    /// requests must not keep its neighbours out of the queue.
    fn make_room(&mut self, line: Option<usize>) -> bool {
        let own = self.line(line).queued;
        let (length, longest) = self.longest();
        length > own && self.evict(longest)
    }

    /// The longest line, and how long it is.
    fn longest(&self) -> (usize, Option<usize>) {
        // What waits in the common line while threads are free has its turn in no time.
        let common = if self.calls() >= self.threads { self.common.queued } else { 0 };
        let limited =
            self.limited.iter().enumerate().map(|(place, limited)| (limited.line.queued, Some(place)));
        limited.chain([(common, None)]).max_by_key(|(length, _)| *length).unwrap_or_default()
    }

    fn evict(&mut self, line: Option<usize>) -> bool {
        while let Some(place) = self.line(line).waiting.pop_back() {
            let mut waiting = lock(&place.state);
            if !waiting.abandoned {
                self.count_refused(&waiting.limits);
                self.turn_away(line, &mut waiting);
                return true;
            }
        }
        false
    }

    fn count_refused(&mut self, limits: &[usize]) {
        self.refused += 1;
        for &limit in limits {
            self.limited[limit].refused += 1;
        }
    }

    /// Takes a request out of the queue that no longer wants to begin. Returns the call that it was granted meanwhile.
    pub(super) fn abandon(&mut self, place: &Place) -> Option<u64> {
        let mut waiting = lock(&place.state);
        waiting.abandoned = true;
        if let Some(outcome) = waiting.outcome.take() {
            return outcome.ok();
        }
        let line = waiting.limits.get(waiting.admitted).copied();
        self.line(line).queued -= 1;
        self.queued -= 1;
        self.release(&waiting.limits[..waiting.admitted]);
        None
    }

    /// Ends a call that began in `tick`.
    pub(super) fn end(&mut self, tick: u64, limits: &[usize]) {
        match self.tick - tick {
            0 => self.young[0] -= 1,
            1 => self.young[1] -= 1,
            _ => self.old -= 1,
        }
        self.ended_young |= self.tick - tick < 2;
        if self.common.queued > 0 {
            self.grant();
        }
        self.release(limits);
    }
}
