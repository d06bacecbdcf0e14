//! A circuit breaker around a store: one that does not answer is asked once a second, instead of by every request.
//!
//! Promises: after [`FAILURES`] failures in a row calls fail at once, but for one at a time that finds out whether the store
//! answers again; what opens and closes the breaker is logged once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::Name;
use super::store::{Change, Store, StoreError};

/// A store that is not waited for while it fails.
pub(super) struct Breaker<S> {
    store: S,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    /// When it is asked next, once the breaker is open.
    probe: Option<Instant>,
}

/// The outcome of a call.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Call,
    FailAtOnce,
}

/// How a call changed the breaker.
#[derive(Debug, PartialEq, Eq)]
enum Shift {
    None,
    Opened,
    Closed,
}

impl<S> Breaker<S> {
    pub(super) fn new(store: S) -> Self {
        Breaker { store, state: Mutex::default() }
    }

    fn guard<T>(&self, call: impl FnOnce(&S) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.state().turn(Instant::now()) == Turn::FailAtOnce {
            return Err(StoreError(
                "it did not answer the last requests, and is asked once a second".to_owned(),
            ));
        }
        let done = call(&self.store);
        let change = self.state().note(done.is_ok(), Instant::now());
        match (change, &done) {
            (Shift::Opened, Err(error)) => {
                onion::count_store_outage();
                onion::report(&format!("session: the store fails, and is asked once a second: {error}"));
            }
            (Shift::Closed, _) => onion::report("session: the store answers again"),
            _ => {}
        }
        done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn turn(&mut self, now: Instant) -> Turn {
        match &mut self.probe {
            None => Turn::Call,
            Some(probe) if *probe <= now => {
                // The others go on failing at once until this one is back.
                *probe = now + UNANSWERED;
                Turn::Call
            }
            Some(_) => Turn::FailAtOnce,
        }
    }

    fn note(&mut self, is_well: bool, now: Instant) -> Shift {
        if is_well {
            self.failures = 0;
            return if self.probe.take().is_some() { Shift::Closed } else { Shift::None };
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures < FAILURES {
            return Shift::None;
        }
        let was_open = self.probe.replace(now + PAUSE).is_some();
        if was_open { Shift::None } else { Shift::Opened }
    }
}

impl<S: Store> Store for Breaker<S> {
    fn read(&self, name: Name, now: u64, until: Instant) -> Result<Option<Vec<u8>>, StoreError> {
        self.guard(|store| store.read(name, now, until))
    }

    fn swap(&self, change: &Change, now: u64, until: Instant) -> Result<bool, StoreError> {
        self.guard(|store| store.swap(change, now, until))
    }
}

/// So many failures in a row open the breaker.
const FAILURES: u32 = 3;

/// How long an open breaker waits until it tries the store.
const PAUSE: Duration = Duration::from_secs(1);

/// A try that takes longer than any store may has been lost with its thread.
const UNANSWERED: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_some_failures_calls_fail_at_once_but_for_one_a_second() {
        let (mut state, begin) = (State::default(), Instant::now());
        let after = |millis| begin + Duration::from_millis(millis);
        let fails = |state: &mut State, now| state.note(false, now);
        assert_eq!(fails(&mut state, begin), Shift::None);
        assert_eq!(fails(&mut state, begin), Shift::None);
        assert_eq!(state.turn(begin), Turn::Call);
        assert_eq!(fails(&mut state, begin), Shift::Opened);
        assert_eq!(state.turn(after(999)), Turn::FailAtOnce);
        assert_eq!([state.turn(after(1000)), state.turn(after(1500))], [Turn::Call, Turn::FailAtOnce]);
        assert_eq!(fails(&mut state, after(3000)), Shift::None);
        assert_eq!([state.turn(after(3500)), state.turn(after(4000))], [Turn::FailAtOnce, Turn::Call]);
        assert_eq!(state.note(true, after(4001)), Shift::Closed);
        assert_eq!([state.turn(after(4001)), state.turn(after(4001))], [Turn::Call, Turn::Call]);
    }

    #[test]
    fn failures_that_are_not_in_a_row_open_nothing() {
        let (mut state, now) = (State::default(), Instant::now());
        for _ in 0..100 {
            state.note(false, now);
            state.note(false, now);
            assert_eq!(state.note(true, now), Shift::None);
        }
    }
}
