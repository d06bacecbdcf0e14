//! One of several targets: how busy it is, and whether it can be relied on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use onion::{Span, inform, report};

use crate::proxy::upstream::Upstream;

/// One target of several.
pub(super) struct Member {
    pub(super) upstream: Arc<Upstream>,
    /// What it is called in cookies.
    pub(super) mark: String,
    busy: AtomicUsize,
    /// What the last probe said.
    answers: AtomicBool,
    fails: Mutex<Fails>,
    /// Whether `fails` says that it rests; so that a healthy target costs no lock.
    rests: AtomicBool,
    max_fails: u32,
    fail_time: Duration,
}

#[derive(Default)]
struct Fails {
    count: u32,
    since: Option<Instant>,
    rests_until: Option<Instant>,
}

/// A request that is with a member.
pub(super) struct Busy(Arc<Member>);

impl Member {
    pub(super) fn new(upstream: Arc<Upstream>, mark: String, max_fails: u32, fail_time: Duration) -> Self {
        Member {
            upstream,
            mark,
            busy: AtomicUsize::new(0),
            answers: AtomicBool::new(true),
            fails: Mutex::default(),
            rests: AtomicBool::new(false),
            max_fails,
            fail_time,
        }
    }

    /// How many requests are with it.
    pub(super) fn busy(&self) -> usize {
        self.busy.load(Relaxed)
    }

    /// A request is with it, until what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Relaxed);
        Busy(Arc::clone(self))
    }

    /// Whether it can be relied on at `now`.
    pub(super) fn is_well(&self, now: Instant) -> bool {
        if !self.answers.load(Relaxed) {
            return false;
        }
        if !self.rests.load(Relaxed) {
            return true;
        }
        let mut fails = self.fails.lock().unwrap_or_else(PoisonError::into_inner);
        if fails.rests_until.is_some_and(|until| now < until) {
            return false;
        }
        *fails = Fails::default();
        self.rests.store(false, Relaxed);
        true
    }

    /// A request failed by its fault. Too many within a time, and it rests for as long.
    pub(super) fn fail(&self, now: Instant) {
        if self.max_fails == 0 {
            return;
        }
        let mut fails = self.fails.lock().unwrap_or_else(PoisonError::into_inner);
        if fails.since.is_none_or(|since| now.duration_since(since) > self.fail_time) {
            *fails = Fails { count: 0, since: Some(now), rests_until: fails.rests_until };
        }
        fails.count += 1;
        if fails.count >= self.max_fails && !self.rests.swap(true, Relaxed) {
            fails.rests_until = Some(now + self.fail_time);
            let (name, count, time) = (self.upstream.name(), fails.count, Span(self.fail_time));
            report(&format!("balance: {name}: rests for {time} after {count} failures"));
        }
    }

    /// What a probe has found.
    pub(super) fn probed(&self, found: Result<(), String>) {
        let name = self.upstream.name();
        match found {
            Ok(()) if !self.answers.swap(true, Relaxed) => {
                inform(&format!("balance: {name}: is well again"));
            }
            Err(why) if self.answers.swap(false, Relaxed) => {
                report(&format!("balance: {name}: is not well: {why}"));
            }
            _ => {}
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Relaxed);
    }
}
