//! Producers that wait for their consumers, and the calls that do: they hold up nobody else.
//!
//! A call whose client is far behind stands still. Whoever counts calls is told, and lets others run meanwhile. When too
//! many stand still, the one that has done so for the longest is given up, and its response is broken off.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Trouble;

/// Counts calls.
pub trait Calls: Debug + Send + Sync {
    /// One of them stands still: it waits for its client.
    fn pause(&self);

    /// It goes on.
    fn resume(&self);

    /// How many may stand still at a time; with 0, all of them count as running.
    fn pauses_most(&self) -> usize;
}

/// Gives up a producer.
pub(crate) type GiveUp = Box<dyn FnOnce() + Send>;

/// The producers of a process that wait for their consumers.
#[derive(Default)]
pub(crate) struct Pauses {
    calls: Option<Arc<dyn Calls>>,
    /// In the order in which they began to wait.
    waiting: Mutex<VecDeque<(u64, GiveUp)>>,
    next: AtomicU64,
}

/// How many responses were broken off in this process because too many calls waited for their clients.
pub fn abandoned_responses() -> u64 {
    ABANDONED.load(Relaxed)
}

static ABANDONED: AtomicU64 = AtomicU64::new(0);

/// Slow clients cause it as often as they like: the log is not theirs to fill.
static MANY: Trouble = Trouble::new();

impl Pauses {
    pub(crate) fn of(calls: Arc<dyn Calls>) -> Self {
        Pauses { calls: Some(calls), ..Pauses::default() }
    }

    /// A producer begins to wait. Gives what it is known by, if its call does not count meanwhile.
    pub(crate) fn begin(&self, give_up: GiveUp) -> Option<u64> {
        let calls = self.calls.as_ref().filter(|calls| calls.pauses_most() > 0)?;
        let number = self.next.fetch_add(1, Relaxed);
        let longest = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push_back((number, give_up));
            if waiting.len() > calls.pauses_most() { waiting.pop_front() } else { None }
        };
        calls.pause();
        if let Some((_, give_up)) = longest {
            ABANDONED.fetch_add(1, Relaxed);
            MANY.report(|| {
                let most = calls.pauses_most();
                format!(
                    "more than {most} calls wait for clients that are behind by response_spool: the response that has \
                     waited the longest is broken off"
                )
            });
            give_up();
        }
        Some(number)
    }

    /// It waits no longer.
    pub(crate) fn end(&self, number: u64) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| *other != number);
        if let Some(calls) = &self.calls {
            calls.resume();
        }
    }
}

impl Debug for Pauses {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pauses").field("calls", &self.calls).finish_non_exhaustive()
    }
}
