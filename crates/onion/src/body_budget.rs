//! What the bodies of requests may take together in a process: in memory, and in temporary files.
//!
//! A body takes its share from when it begins to arrive until it is read or dropped. When the memory is used up, bodies go
//! to files sooner. When the files are, some of those that are still arriving are given up: first those that have taken
//! the most bytes for the longest time, so that the slow and large ones lose and others get through.
//!
//! ```
//! use onion::BodyBudget;
//!
//! let budget = BodyBudget::new(1000, 2000, 10);
//! let mut slow = budget.begin();
//! assert!(slow.take_memory(1000));
//! let mut quick = budget.begin();
//! assert!(!quick.take_memory(1), "the memory is used up: it goes to a file");
//! assert!(slow.take_file(2000).is_ok() && quick.take_file(500).is_ok());
//! assert!(slow.take_file(1).is_err(), "it was given up for the other");
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::{Size, Trouble};

/// What all bodies of a process may take.
#[derive(Clone, Debug)]
pub struct BodyBudget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Bytes in memory, bytes in files, and how many files.
    most: Amounts,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amounts {
    memory: u64,
    file: u64,
    files: u64,
}

#[derive(Debug, Default)]
struct State {
    taken: Amounts,
    /// Those that may still be given up.
    arriving: HashMap<u64, Arriving>,
    next: u64,
}

#[derive(Debug)]
struct Arriving {
    since: Instant,
    took: Amounts,
    waker: Option<Waker>,
}

impl Arriving {
    /// What it costs: its bytes in files, times how long it has been arriving.
    fn cost(&self, now: Instant) -> u128 {
        u128::from(self.took.file) * now.saturating_duration_since(self.since).as_micros()
    }
}

/// The budget has no room left for the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowded;

/// How many bodies were given up or turned away in this process.
pub fn crowded_bodies() -> u64 {
    CROWDED.load(Relaxed)
}

static CROWDED: AtomicU64 = AtomicU64::new(0);

/// Any client can be part of the cause: the log is not theirs to fill.
static MEMORY: Trouble = Trouble::new();
static FILES: Trouble = Trouble::new();

impl BodyBudget {
    /// For `memory` bytes in memory, and `file` bytes in up to `files` files.
    pub fn new(memory: u64, file: u64, files: u64) -> Self {
        let most = Amounts { memory, file, files };
        BodyBudget(Arc::new(Shared { most, state: Mutex::default() }))
    }

    /// One that is never used up.
    pub fn unlimited() -> Self {
        BodyBudget::new(u64::MAX, u64::MAX, u64::MAX)
    }

    /// A body begins to arrive.
    pub fn begin(&self) -> Share {
        let mut state = self.0.state();
        let key = state.next;
        state.next += 1;
        state.arriving.insert(key, Arriving { since: Instant::now(), took: Amounts::default(), waker: None });
        Share { shared: Arc::clone(&self.0), key, kept: None }
    }

    /// Counts `bytes` of memory that are taken in any case.
    pub fn hold(&self, bytes: u64) -> Share {
        self.0.state().taken.memory += bytes;
        let kept = Amounts { memory: bytes, ..Amounts::default() };
        Share { shared: Arc::clone(&self.0), key: u64::MAX, kept: Some(kept) }
    }

    /// Whether there are `bytes` of memory left.
    pub fn has_memory(&self, bytes: u64) -> bool {
        self.in_memory().saturating_add(bytes) <= self.0.most.memory
    }

    /// How much all bodies have in memory.
    pub fn in_memory(&self) -> u64 {
        self.0.state().taken.memory
    }

    /// How much they may have there.
    pub fn memory(&self) -> u64 {
        self.0.most.memory
    }

    /// How much they may have in files.
    pub fn file(&self) -> u64 {
        self.0.most.file
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives up others than `key` until `wanted` fits; `None` if `key` is the one that has to go.
    fn make_room(&self, state: &mut State, key: u64, wanted: Amounts) -> Option<()> {
        let is_over = |taken: Amounts| {
            taken.file.saturating_add(wanted.file) > self.most.file
                || taken.files.saturating_add(wanted.files) > self.most.files
        };
        if !is_over(state.taken) {
            return Some(());
        }
        let now = Instant::now();
        let own = state.arriving.get(&key)?;
        let own = Arriving { since: own.since, took: own.took.plus(wanted), waker: None }.cost(now);
        let mut costs: Vec<(u128, u64)> = state
            .arriving
            .iter()
            .filter(|(other, arriving)| **other != key && arriving.took.files > 0)
            .map(|(other, arriving)| (arriving.cost(now), *other))
            .filter(|(cost, _)| *cost > own)
            .collect();
        costs.sort_unstable();
        let (mut left, mut chosen) = (state.taken, Vec::new());
        // A few more than are needed: those that come next need room too, and looking for it takes time.
        let slack = |taken: Amounts| taken.file > self.most.file - self.most.file / SLACK;
        while is_over(left) || slack(left) && chosen.len() < AT_ONCE {
            let Some((_, other)) = costs.pop() else { break };
            left = left.minus(state.arriving[&other].took);
            chosen.push(other);
        }
        if is_over(left) {
            return None;
        }
        for other in chosen {
            state.give_up(other);
        }
        self.report();
        Some(())
    }

    fn report(&self) {
        FILES.report(|| {
            let Amounts { file, files, .. } = self.most;
            let most = Size(file);
            format!(
                "request bodies take all of body_spool_total ({most}, {files} files): the slowest and largest are \
                 answered 503"
            )
        });
    }
}

/// This part of the files is freed at once, by giving up so many bodies at the most.
const SLACK: u64 = 64;
const AT_ONCE: usize = 64;

impl State {
    fn give_up(&mut self, key: u64) {
        if let Some(gone) = self.arriving.remove(&key) {
            self.taken = self.taken.minus(gone.took);
            CROWDED.fetch_add(1, Relaxed);
            if let Some(waker) = gone.waker {
                waker.wake();
            }
        }
    }
}

impl Amounts {
    fn plus(self, other: Amounts) -> Amounts {
        Amounts {
            memory: self.memory.saturating_add(other.memory),
            file: self.file.saturating_add(other.file),
            files: self.files.saturating_add(other.files),
        }
    }

    fn minus(self, other: Amounts) -> Amounts {
        Amounts {
            memory: self.memory.saturating_sub(other.memory),
            file: self.file.saturating_sub(other.file),
            files: self.files.saturating_sub(other.files),
        }
    }
}

/// What one body takes, until it is dropped.
#[derive(Debug)]
pub struct Share {
    shared: Arc<Shared>,
    /// Of its entry among those that are arriving.
    key: u64,
    /// What it has once it has arrived.
    kept: Option<Amounts>,
}

impl Share {
    /// Takes `bytes` of memory. Returns false if they do not fit.
    pub fn take_memory(&mut self, bytes: u64) -> bool {
        let mut state = self.shared.state();
        if state.taken.memory.saturating_add(bytes) > self.shared.most.memory {
            MEMORY.report(|| {
                let most = Size(self.shared.most.memory);
                format!("request bodies take all of body_memory_total ({most}): they go to temporary files")
            });
            return false;
        }
        let Some(arriving) = state.arriving.get_mut(&self.key) else { return false };
        arriving.took.memory += bytes;
        state.taken.memory += bytes;
        true
    }

    /// Takes `bytes` more of a file. What was in memory counts no longer: it goes there too.
    pub fn take_file(&mut self, bytes: u64) -> Result<(), Crowded> {
        let mut state = self.shared.state();
        let Some(arriving) = state.arriving.get_mut(&self.key) else { return Err(Crowded) };
        let memory = arriving.took.memory;
        let wanted = Amounts { memory: 0, file: bytes, files: u64::from(arriving.took.files == 0) };
        let has_room = self.shared.make_room(&mut state, self.key, wanted).is_some();
        if !has_room {
            state.give_up(self.key);
            drop(state);
            self.shared.report();
            return Err(Crowded);
        }
        let freed = Amounts { memory, ..Amounts::default() };
        state.taken = state.taken.plus(wanted).minus(freed);
        if let Some(arriving) = state.arriving.get_mut(&self.key) {
            arriving.took = arriving.took.plus(wanted).minus(freed);
        }
        Ok(())
    }

    /// Ready when the body was given up.
    pub fn poll_given_up(&self, context: &Context<'_>) -> Poll<()> {
        match self.shared.state().arriving.get_mut(&self.key) {
            Some(arriving) => {
                arriving.waker = Some(context.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }

    /// The body has arrived: it is not given up any more.
    pub fn arrived(mut self) -> Result<Self, Crowded> {
        let arrived = self.shared.state().arriving.remove(&self.key).ok_or(Crowded)?;
        self.kept = Some(arrived.took);
        Ok(self)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let took = self.kept.or_else(|| Some(state.arriving.remove(&self.key)?.took));
        state.taken = state.taken.minus(took.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "time has to pass")]
    fn pass() {
        sleep(Duration::from_millis(2));
    }

    fn is_given_up(share: &Share) -> bool {
        share.poll_given_up(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_oldest_of_equal_size_is_given_up_first() {
        let budget = BodyBudget::new(0, 1000, 10);
        let mut shares = Vec::new();
        for _ in 0..4 {
            let mut share = budget.begin();
            share.take_file(250).expect("there is room");
            shares.push(share);
            pass();
        }
        budget.begin().take_file(100).expect("the first one makes room");
        assert_eq!(shares.iter().map(is_given_up).collect::<Vec<_>>(), [true, false, false, false]);
        assert!(shares[0].take_file(1).is_err());
    }

    #[test]
    fn the_largest_of_equal_age_is_given_up_first_even_if_it_is_who_asks() {
        let budget = BodyBudget::new(0, 1000, 10);
        let (mut large, mut small) = (budget.begin(), budget.begin());
        large.take_file(700).expect("there is room");
        small.take_file(300).expect("there is room");
        pass();
        assert_eq!(large.take_file(1), Err(Crowded));
        assert!(!is_given_up(&small));
        small.take_file(700).expect("it has all the room");
        let before = budget.0.state().taken;
        drop((large, small));
        assert_eq!((before.file, budget.0.state().taken), (1000, Amounts::default()));
    }

    #[test]
    fn what_has_arrived_stays_and_counts_until_it_is_dropped() {
        let budget = BodyBudget::new(100, 1000, 10);
        let mut whole = budget.begin();
        whole.take_file(900).expect("there is room");
        let whole = whole.arrived().expect("it was not given up");
        pass();
        assert_eq!(budget.begin().take_file(200), Err(Crowded));
        drop(whole);
        budget.begin().take_file(200).expect("there is room again");

        let mut short = budget.begin();
        assert!(short.take_memory(60) && !budget.begin().take_memory(60));
        let short = short.arrived().expect("it was not given up");
        assert_eq!(budget.in_memory(), 60);
        drop(short);
        assert_eq!(budget.in_memory(), 0);
    }

    #[test]
    fn the_number_of_files_is_limited_too() {
        let budget = BodyBudget::new(0, 1000, 2);
        let (mut first, mut second) = (budget.begin(), budget.begin());
        first.take_file(10).expect("there is room");
        pass();
        second.take_file(10).expect("there is room");
        budget.begin().take_file(1).expect("the first one makes room");
        assert!(is_given_up(&first) && !is_given_up(&second));
    }

    #[test]
    fn what_is_held_in_any_case_counts_as_memory() {
        let budget = BodyBudget::new(100, 1000, 2);
        let held = budget.hold(100);
        assert!(!budget.begin().take_memory(1));
        drop(held);
        assert!(budget.begin().take_memory(1));
    }
}
