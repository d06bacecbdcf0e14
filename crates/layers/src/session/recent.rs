//! What the cookie store knows of the last few seconds: which sessions this process has sealed.
//!
//! A cookie can't be compared and swapped, for it is with the client. But two requests that change one session at
//! once are both here, and so the second one is noticed. Other processes are not seen, and what is older than `MEMORY`
//! is forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::record::Id;

#[derive(Default)]
pub(super) struct Recent(Mutex<Saves>);

#[derive(Default)]
struct Saves {
    /// How many there were.
    count: u64,
    last: HashMap<Id, Saved>,
}

/// The last save of a session.
struct Saved {
    version: u64,
    /// Its number among all.
    number: u64,
    at: u64,
    ended: bool,
}

/// What a request has read: the session, its version, and how many saves there had been.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base {
    pub(super) id: Id,
    pub(super) version: u64,
    pub(super) saves: u64,
}

#[derive(Debug, PartialEq)]
pub(super) enum Swapped {
    /// Nobody else has saved it.
    Yes,
    /// Yes, but from a cookie older than the last one that was given out: the client has not taken that one over.
    FromOld,
    /// No: it was saved while this request had it in its hands, or it has ended.
    No,
}

impl Recent {
    /// How many saves there were.
    pub(super) fn saves(&self) -> u64 {
        self.saved().count
    }

    /// Notes that a request that read `base` saves `next`, or `None` if it ends the session.
    pub(super) fn swap(&self, base: Base, next: Option<(Id, u64)>, now: u64) -> Swapped {
        let mut saves = self.saved();
        let last = saves.last.get(&base.id).filter(|last| last.at + MEMORY >= now);
        let swapped = match last {
            // Whoever ends a session does so, whatever others have done to it.
            _ if next.is_none() => Swapped::Yes,
            Some(last) if last.ended || last.number > base.saves => return Swapped::No,
            Some(last) if last.version > base.version => Swapped::FromOld,
            _ => Swapped::Yes,
        };
        if saves.last.len() >= MOST {
            saves.last.retain(|_, last| last.at + MEMORY >= now);
        }
        saves.count += 1;
        let number = saves.count;
        if next.is_none_or(|next| next.0 != base.id) {
            let gone = Saved { version: u64::MAX, number, at: now, ended: next.is_none() };
            saves.last.insert(base.id, gone);
        }
        if let Some((id, version)) = next {
            saves.last.insert(id, Saved { version, number, at: now, ended: false });
        }
        swapped
    }

    fn saved(&self) -> MutexGuard<'_, Saves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In seconds.
const MEMORY: u64 = 10;
/// About a megabyte; from here on what is forgotten is thrown away before more is taken in.
const MOST: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::{Base, MEMORY, Recent, Swapped};
    use crate::session::record::Id;

    const ID: Id = Id([1; 16]);
    const OTHER: Id = Id([2; 16]);
    const NOW: u64 = 100;

    fn base(recent: &Recent, version: u64) -> Base {
        Base { id: ID, version, saves: recent.saves() }
    }

    #[test]
    fn of_two_requests_at_once_the_second_is_told() {
        let recent = Recent::default();
        let (first, second) = (base(&recent, 1), base(&recent, 1));

        assert_eq!(recent.swap(first, Some((ID, 2)), NOW), Swapped::Yes);
        assert_eq!(recent.swap(second, Some((ID, 2)), NOW), Swapped::No);
        assert_eq!(recent.swap(base(&recent, 2), Some((ID, 3)), NOW), Swapped::Yes);
    }

    #[test]
    fn a_client_that_did_not_take_the_last_cookie_goes_on_with_its_own() {
        let recent = Recent::default();
        recent.swap(base(&recent, 1), Some((ID, 2)), NOW);

        assert_eq!(recent.swap(base(&recent, 1), Some((ID, 2)), NOW), Swapped::FromOld);
        assert_eq!(recent.swap(base(&recent, 1), Some((ID, 2)), NOW + MEMORY + 1), Swapped::Yes);
    }

    #[test]
    fn a_session_that_was_rotated_meanwhile_is_not_saved_under_its_old_id() {
        let recent = Recent::default();
        let (login, other) = (base(&recent, 1), base(&recent, 1));

        assert_eq!(recent.swap(login, Some((OTHER, 1)), NOW), Swapped::Yes);
        assert_eq!(recent.swap(other, Some((ID, 2)), NOW), Swapped::No);
    }

    #[test]
    fn a_session_that_has_ended_is_not_brought_back_by_its_old_cookie() {
        let recent = Recent::default();
        recent.swap(base(&recent, 1), None, NOW);

        assert_eq!(recent.swap(base(&recent, 1), Some((ID, 2)), NOW), Swapped::No);
    }

    #[test]
    fn a_session_can_be_ended_whoever_has_saved_it() {
        let recent = Recent::default();
        let before = base(&recent, 1);
        recent.swap(before, Some((ID, 2)), NOW);

        assert_eq!(recent.swap(before, None, NOW), Swapped::Yes);
    }
}
