//! Sessions in the memory of this process, for tests and development.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::record::Name;
use super::store::{Change, Store, StoreError};

#[derive(Default)]
pub(super) struct Memory(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    rows: HashMap<Name, Row>,
    /// The rows in the order of their ends.
    ends: BTreeSet<(u64, Name)>,
}

struct Row {
    version: u64,
    expires: u64,
    sealed: Vec<u8>,
}

impl Store for Memory {
    fn read(&self, name: Name, now: u64, _until: Instant) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(rows.rows.get(&name).filter(|row| row.expires > now).map(|row| row.sealed.clone()))
    }

    fn swap(&self, change: &Change, now: u64, _until: Instant) -> Result<bool, StoreError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let version = |name| all.rows.get(&name).map(|row: &Row| row.version);
        let removed = change.remove.as_ref();
        if removed.is_some_and(|it| it.version.is_some() && version(it.name) != it.version)
            || change.put.as_ref().is_some_and(|put| version(put.name) != put.replaces)
        {
            return Ok(false);
        }
        if let Some(remove) = removed {
            all.remove(remove.name);
        }
        if let Some(put) = &change.put {
            let (version, expires) = (put.version, now.saturating_add(put.lasts.as_secs()));
            all.remove(put.name);
            all.rows.insert(put.name, Row { version, expires, sealed: put.sealed.clone() });
            all.ends.insert((expires, put.name));
        }
        all.purge(now);
        Ok(true)
    }
}

impl Rows {
    fn remove(&mut self, name: Name) {
        if let Some(row) = self.rows.remove(&name) {
            self.ends.remove(&(row.expires, name));
        }
    }

    /// Takes away a few rows whose time is over: more than a change adds, so that none are left for long, and so few that
    /// no change waits for all.
    fn purge(&mut self, now: u64) {
        for _ in 0..ROWS_A_CHANGE {
            let Some((expires, name)) = self.ends.first().copied() else { return };
            if expires > now {
                return;
            }
            self.remove(name);
        }
    }
}

const ROWS_A_CHANGE: u32 = 4;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::session::record::Id;
    use crate::session::store::Put;

    fn put(memory: &Memory, lasts: u64, now: u64) {
        let (name, lasts) = (Id::new().name(), Duration::from_secs(lasts));
        let put = Put { name, replaces: None, version: 1, sealed: Vec::new(), lasts };
        let change = Change { remove: None, put: Some(put) };
        assert!(memory.swap(&change, now, Instant::now()).is_ok_and(|done| done));
    }

    #[test]
    fn each_change_takes_away_a_few_rows_whose_time_is_over() {
        let memory = Memory::default();
        let rows = || memory.0.lock().expect("no other thread panics").rows.len();
        (0..1000).for_each(|_| put(&memory, 10, 0));
        put(&memory, 10, 10);
        assert_eq!(rows(), 1000 + 1 - 4);
        (0..250).for_each(|_| put(&memory, 10, 10));
        assert_eq!(rows(), 251);
        assert_eq!(memory.0.lock().expect("no other thread panics").ends.len(), 251);
    }
}
