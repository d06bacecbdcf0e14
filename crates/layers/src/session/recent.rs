//! What the cookie store knows of the last few seconds: the sessions that this process has sealed.
//!
//! A cookie can't be compared and swapped, for it is with the client. But two requests that change one session at
//! once are both here, and so the second one can be merged with the first. Other processes are not seen, and what is
//! older than `MEMORY` is forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::record::{Id, Record};

#[derive(Default)]
pub(super) struct Recent(Mutex<Saves>);

#[derive(Default)]
struct Saves {
    last: HashMap<Id, Saved>,
    /// The saves in their order, the oldest first. Those that another save of the session follows are still there.
    order: VecDeque<(Id, u64)>,
    /// How many there were.
    count: u64,
    /// How many bytes of values are kept.
    bytes: usize,
}

/// The last save of a session.
struct Saved {
    /// None if it has ended, or goes on under another id.
    record: Option<Record>,
    /// Its number among all.
    number: u64,
    at: u64,
}

/// What a request has read: the session, and its version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Base {
    pub(super) id: Id,
    pub(super) version: u64,
}

/// The result of saving a session.
#[derive(Debug, PartialEq)]
pub(super) enum Swapped {
    /// It is saved.
    Yes,
    /// Another request has saved it meanwhile. This is the session now.
    Behind(Box<Record>),
    /// Another request has ended it or given it a new id.
    Gone,
}

impl Recent {
    /// The session as it was saved last, if that was after `record`: a client sends an older cookie while the response
    /// with the new one is on its way.
    pub(super) fn newer(&self, record: &Record, now: u64) -> Option<Record> {
        let saves = self.saves();
        let last = saves.last(record.id, now)?.record.as_ref()?;
        (last.version > record.version).then(|| last.clone())
    }

    /// Notes that a request that read `base` saves `next`, or `None` if the session ends. With `always` it ends whatever
    /// other requests have done to it.
    pub(super) fn swap(&self, base: Base, next: Option<&Record>, always: bool, now: u64) -> Swapped {
        let mut saves = self.saves();
        match saves.last(base.id, now) {
            Some(Saved { record: None, .. }) if !always => return Swapped::Gone,
            Some(Saved { record: Some(last), .. }) if !always && last.version > base.version => {
                return Swapped::Behind(Box::new(last.clone()));
            }
            _ => {}
        }
        if next.is_none_or(|next| next.id != base.id) {
            saves.put(base.id, None, now);
        }
        if let Some(next) = next {
            saves.put(next.id, Some(next.clone()), now);
        }
        Swapped::Yes
    }

    fn saves(&self) -> MutexGuard<'_, Saves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Saves {
    fn last(&self, id: Id, now: u64) -> Option<&Saved> {
        self.last.get(&id).filter(|last| last.at.saturating_add(MEMORY) >= now)
    }

    fn put(&mut self, id: Id, record: Option<Record>, now: u64) {
        self.count += 1;
        let saved = Saved { record, number: self.count, at: now };
        self.bytes += saved.bytes();
        self.order.push_back((id, saved.number));
        if let Some(before) = self.last.insert(id, saved) {
            self.bytes -= before.bytes();
        }
        while let Some((id, number)) = self.order.front() {
            let is_last = self.last.get(id).filter(|last| last.number == *number);
            if is_last.is_some_and(|last| last.at.saturating_add(MEMORY) >= now && self.bytes <= MOST_BYTES) {
                break;
            }
            if is_last.is_some()
                && let Some(forgotten) = self.last.remove(id)
            {
                self.bytes -= forgotten.bytes();
            }
            self.order.pop_front();
        }
    }
}

impl Saved {
    fn bytes(&self) -> usize {
        ENTRY + self.record.as_ref().map_or(0, |record| record.values.len())
    }
}

/// In seconds.
const MEMORY: u64 = 10;
/// From here on the oldest saves are forgotten early.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// What a save takes without its values, about.
const ENTRY: usize = 200;

#[cfg(test)]
mod tests {
    use super::{Base, ENTRY, MEMORY, MOST_BYTES, Recent, Swapped};
    use crate::session::record::{Id, Record};

    const ID: Id = Id([1; 16]);
    const NOW: u64 = 100;

    fn record(id: Id, version: u64) -> Record {
        Record { id, version, values: "{}".to_owned(), ..Record::new(NOW) }
    }

    fn swap(recent: &Recent, version: u64, next: Option<&Record>) -> Swapped {
        recent.swap(Base { id: ID, version }, next, next.is_none(), NOW)
    }

    #[test]
    fn of_two_requests_at_once_the_second_gets_what_the_first_has_saved() {
        let recent = Recent::default();
        let first = record(ID, 2);

        assert_eq!(swap(&recent, 1, Some(&first)), Swapped::Yes);
        assert_eq!(swap(&recent, 1, Some(&record(ID, 2))), Swapped::Behind(Box::new(first)));
        assert_eq!(swap(&recent, 2, Some(&record(ID, 3))), Swapped::Yes);
    }

    #[test]
    fn an_older_cookie_leads_to_the_newest_session_for_a_while() {
        let recent = Recent::default();
        let (old, new) = (record(ID, 1), record(ID, 2));
        swap(&recent, 1, Some(&new));

        assert_eq!(recent.newer(&old, NOW + MEMORY), Some(new.clone()));
        assert_eq!(recent.newer(&old, NOW + MEMORY + 1), None);
        assert_eq!(recent.newer(&new, NOW), None);
    }

    #[test]
    fn a_session_that_was_rotated_meanwhile_is_not_saved_under_its_old_id() {
        let recent = Recent::default();

        assert_eq!(swap(&recent, 1, Some(&record(Id([2; 16]), 1))), Swapped::Yes);
        assert_eq!(swap(&recent, 1, Some(&record(ID, 2))), Swapped::Gone);
    }

    #[test]
    fn a_session_that_has_ended_is_not_brought_back_by_its_old_cookie() {
        let recent = Recent::default();
        swap(&recent, 1, None);

        assert_eq!(swap(&recent, 1, Some(&record(ID, 2))), Swapped::Gone);
        assert_eq!(recent.newer(&record(ID, 1), NOW), None);
    }

    #[test]
    fn a_session_can_be_ended_whatever_other_requests_have_saved() {
        let recent = Recent::default();
        swap(&recent, 1, Some(&record(ID, 2)));

        assert_eq!(swap(&recent, 1, None), Swapped::Yes);
    }

    #[test]
    fn the_oldest_saves_are_forgotten_when_they_are_too_many() {
        let recent = Recent::default();
        let large = "x".repeat(MOST_BYTES / 4);
        for number in 0..100 {
            let id = Id([number; 16]);
            let record = Record { values: large.clone(), ..record(id, 2) };
            recent.swap(Base { id, version: 1 }, Some(&record), false, NOW);
        }
        let saves = recent.saves();
        assert_eq!((saves.last.len(), saves.order.len()), (3, 3));
        assert_eq!(saves.bytes, 3 * (ENTRY + large.len()));
        assert!(saves.last.contains_key(&Id([99; 16])));
    }

    #[test]
    fn saves_of_one_session_take_the_room_of_one() {
        let recent = Recent::default();
        for version in 1..100 {
            recent.swap(Base { id: ID, version }, Some(&record(ID, version + 1)), false, NOW + version * 20);
        }
        let saves = recent.saves();
        assert_eq!((saves.order.len(), saves.bytes), (1, ENTRY + 2));
    }
}
