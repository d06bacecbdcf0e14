//! What is said over and over is said a few times, then counted.
//!
//! A fault that every request meets would fill a disk, and bury everything else. Within a while the same words are said
//! so often and no more; when the while is over, how often they came besides is told in one line.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

use crate::report::LogLevel;

/// What was said lately.
#[derive(Debug)]
pub(crate) struct Repeats {
    said: Vec<Said>,
}

#[derive(Debug)]
struct Said {
    /// Of all of it; `what` is the line that it begins with.
    hash: u64,
    what: String,
    level: LogLevel,
    since: Instant,
    times: u32,
    held: u64,
}

/// What was held back, to be told in one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) level: LogLevel,
    pub(crate) what: String,
    pub(crate) times: u64,
}

/// How often the same is said within a while.
const AT_ONCE: u32 = 3;

/// The while.
pub(crate) const WHILE: Duration = Duration::from_secs(10);

/// So much is remembered; what comes on top of it is said.
const MOST: usize = 64;

impl Repeats {
    pub(crate) const fn new() -> Self {
        Repeats { said: Vec::new() }
    }

    /// Whether this may be said now.
    pub(crate) fn admit(&mut self, level: LogLevel, what: &str, details: &str, now: Instant) -> bool {
        let mut hasher = DefaultHasher::new();
        (what, details).hash(&mut hasher);
        let hash = hasher.finish();
        self.said.retain(|said| said.held > 0 || now.duration_since(said.since) < WHILE);
        if let Some(said) = self.said.iter_mut().find(|said| said.hash == hash) {
            if said.times < AT_ONCE {
                said.times += 1;
                return true;
            }
            said.held += 1;
            return false;
        }
        if self.said.len() < MOST {
            self.said.push(Said { hash, what: what.to_owned(), level, since: now, times: 1, held: 0 });
        }
        true
    }

    /// What was held back, of which the while is over; of all with `None`.
    pub(crate) fn take_held(&mut self, now: Option<Instant>) -> Vec<Held> {
        let is_over = |said: &Said| now.is_none_or(|now| now.duration_since(said.since) >= WHILE);
        let taken = self.said.extract_if(.., |said| said.held > 0 && is_over(said));
        taken.map(|said| Held { level: said.level, what: said.what, times: said.held }).collect()
    }

    /// When something that is held back is to be told.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.said.iter().filter(|said| said.held > 0).map(|said| said.since + WHILE).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_over_and_over_is_counted_and_told_when_the_while_is_over() {
        let (mut repeats, now) = (Repeats::new(), Instant::now());
        let said = (0..10).filter(|_| repeats.admit(LogLevel::Error, "a", "", now)).count();
        assert_eq!(said, 3);
        assert!(repeats.admit(LogLevel::Error, "a", "another traceback", now));
        assert_eq!(repeats.take_held(Some(now)), []);

        let later = now + WHILE;
        assert_eq!(repeats.next(), Some(later));
        let held = Held { level: LogLevel::Error, what: "a".to_owned(), times: 7 };
        assert_eq!(repeats.take_held(Some(later)), [held]);
        assert_eq!((repeats.next(), repeats.admit(LogLevel::Error, "a", "", later)), (None, true));
    }

    #[test]
    fn what_comes_now_and_then_is_said_each_time() {
        let (mut repeats, now) = (Repeats::new(), Instant::now());
        assert!((0..100).all(|time| repeats.admit(LogLevel::Info, "a", "", now + WHILE * time)));
    }

    #[test]
    fn only_so_much_is_remembered_and_the_rest_is_said() {
        let (mut repeats, now) = (Repeats::new(), Instant::now());
        for number in 0..1000 {
            assert!(repeats.admit(LogLevel::Info, &number.to_string(), "", now));
        }
        assert_eq!(repeats.said.len(), MOST);
    }
}
