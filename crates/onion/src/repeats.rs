//! Lines of one kind are logged a few times, then counted.
//!
//! A fault that every request meets would fill a disk, and bury everything else. Lines are of one kind if they are the same
//! but for the request that they are about; and if a client can make each line another one, the place in the code that
//! logs them has a limit too. How many were left out is logged when the time of the limit is over.

use std::time::{Duration, Instant};

use crate::report::LogLevel;

/// The lines of the last few seconds.
#[derive(Debug)]
pub(crate) struct Repeats {
    logged: Vec<Logged>,
}

/// A limit on the lines of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) lines: u32,
    pub(crate) within: Duration,
}

/// What a line is counted by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) key: u64,
    pub(crate) limit: Limit,
    /// The place in the code that logs it, if that has a limit of its own.
    pub(crate) place: Option<u64>,
}

#[derive(Debug)]
struct Logged {
    key: u64,
    is_place: bool,
    /// The first line.
    what: String,
    level: LogLevel,
    since: Instant,
    limit: Limit,
    times: u32,
    held: u64,
}

/// Lines that were left out, to be logged as one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) level: LogLevel,
    pub(crate) what: String,
}

/// How often the same line is logged.
pub(crate) const SAME: Limit = Limit { lines: 3, within: Duration::from_secs(10) };

/// How many different lines a place in the code logs.
const OF_A_PLACE: Limit = Limit { lines: 5, within: Duration::from_secs(1) };

/// The most kinds that are counted; beyond them, only the limit of the place holds.
const MOST: usize = 64;

impl Repeats {
    pub(crate) const fn new() -> Self {
        Repeats { logged: Vec::new() }
    }

    /// Whether a line of this kind may be logged now. If not, it is counted.
    pub(crate) fn admit(
        &mut self,
        kind: Kind,
        level: LogLevel,
        now: Instant,
        what: impl FnOnce() -> String,
    ) -> bool {
        self.logged.retain(|logged| logged.held > 0 || !logged.is_over(now));
        if let Some(same) = self.of(kind.key, false) {
            let is_admitted = same.admit();
            return is_admitted && self.place_admits(kind, level, now, what);
        }
        let what = what();
        if !self.place_admits(kind, level, now, || what.clone()) {
            return false;
        }
        if self.logged.iter().filter(|logged| !logged.is_place).count() < MOST {
            self.logged.push(Logged::new(kind.key, kind.limit, level, now, what));
        }
        true
    }

    fn place_admits(
        &mut self,
        kind: Kind,
        level: LogLevel,
        now: Instant,
        what: impl FnOnce() -> String,
    ) -> bool {
        let Some(place) = kind.place else { return true };
        if let Some(same) = self.of(place, true) {
            return same.admit();
        }
        self.logged.push(Logged { is_place: true, ..Logged::new(place, OF_A_PLACE, level, now, what()) });
        true
    }

    fn of(&mut self, key: u64, is_place: bool) -> Option<&mut Logged> {
        self.logged.iter_mut().find(|logged| logged.key == key && logged.is_place == is_place)
    }

    /// Whether as many kinds are counted as can be.
    pub(crate) fn is_full(&self) -> bool {
        self.logged.len() >= MOST
    }

    /// What was left out, of which the time is over; of all with `None`.
    pub(crate) fn take_held(&mut self, now: Option<Instant>) -> Vec<Held> {
        let is_due = |logged: &Logged| now.is_none_or(|now| logged.is_over(now));
        self.logged.extract_if(.., |logged| logged.held > 0 && is_due(logged)).map(Logged::held).collect()
    }

    /// When something that was left out is to be logged.
    pub(crate) fn next(&self) -> Option<Instant> {
        let waiting = self.logged.iter().filter(|logged| logged.held > 0);
        waiting.map(|logged| logged.since + logged.limit.within).min()
    }
}

impl Logged {
    fn new(key: u64, limit: Limit, level: LogLevel, since: Instant, what: String) -> Self {
        Logged { key, is_place: false, what, level, since, limit, times: 1, held: 0 }
    }

    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= self.limit.within
    }

    fn admit(&mut self) -> bool {
        let is_admitted = self.times < self.limit.lines;
        if is_admitted {
            self.times += 1;
        } else {
            self.held += 1;
        }
        is_admitted
    }

    fn held(self) -> Held {
        let Logged { held, what, level, .. } = self;
        let times = if held == 1 { "once".to_owned() } else { format!("{held} times") };
        let what = if self.is_place {
            format!("left out {held} more lines such as: {what}")
        } else {
            format!("repeated {times}: {what}")
        };
        Held { level, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(key: u64) -> Kind {
        Kind { key, limit: SAME, place: Some(1) }
    }

    fn admit(repeats: &mut Repeats, key: u64, now: Instant) -> bool {
        repeats.admit(kind(key), LogLevel::Error, now, || format!("line {key}"))
    }

    fn held(what: &str) -> Held {
        Held { level: LogLevel::Error, what: what.to_owned() }
    }

    #[test]
    fn the_same_line_is_logged_a_few_times_and_then_counted() {
        let (mut repeats, now) = (Repeats::new(), Instant::now());
        let logged = (0..10).filter(|_| admit(&mut repeats, 7, now)).count();
        assert_eq!(logged, 3);
        assert!(admit(&mut repeats, 8, now), "another line");
        assert_eq!(repeats.take_held(Some(now)), []);

        let later = now + SAME.within;
        assert_eq!(repeats.next(), Some(later));
        assert_eq!(repeats.take_held(Some(later)), [held("repeated 7 times: line 7")]);
        assert_eq!((repeats.next(), admit(&mut repeats, 7, later)), (None, true));
    }

    #[test]
    fn lines_that_differ_count_for_the_place_that_logs_them() {
        let (mut repeats, now) = (Repeats::new(), Instant::now());
        let logged = (0..2000).filter(|number| admit(&mut repeats, *number, now)).count();
        assert_eq!(logged, 5);
        let later = now + OF_A_PLACE.within;
        assert_eq!(repeats.take_held(Some(later)), [held("left out 1995 more lines such as: line 0")]);
        assert!(admit(&mut repeats, 5000, later));
    }

    #[test]
    fn a_line_that_comes_now_and_then_is_logged_each_time() {
        let (mut repeats, now) = (Repeats::new(), Instant::now());
        assert!((0..100).all(|time| admit(&mut repeats, 7, now + SAME.within * time)));
    }

    #[test]
    fn without_a_limit_of_the_place_each_kind_is_logged() {
        let (mut repeats, now) = (Repeats::new(), Instant::now());
        for key in 0..1000 {
            let kind = Kind { place: None, ..kind(key) };
            assert!(repeats.admit(kind, LogLevel::Error, now, String::new));
        }
        assert_eq!(repeats.logged.len(), MOST);
        assert!(repeats.is_full());
    }
}
