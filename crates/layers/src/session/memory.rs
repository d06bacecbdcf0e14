//! Sessions in the memory of this process, for tests and development.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::record::Name;
use super::store::{Change, Store, StoreError};

#[derive(Default)]
pub(super) struct Memory(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    rows: HashMap<Name, Row>,
    swaps: u32,
}

struct Row {
    version: u64,
    expires: u64,
    sealed: Vec<u8>,
}

impl Store for Memory {
    fn read(&self, name: Name, now: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(rows.rows.get(&name).filter(|row| row.expires > now).map(|row| row.sealed.clone()))
    }

    fn swap(&self, change: &Change, now: u64) -> Result<bool, StoreError> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Rows { rows, swaps } = &mut *all;
        let version = |name| rows.get(&name).map(|row: &Row| row.version);
        let removed = change.remove.as_ref();
        if removed.is_some_and(|it| it.version.is_some() && version(it.name) != it.version)
            || change.put.as_ref().is_some_and(|put| version(put.name) != put.replaces)
        {
            return Ok(false);
        }
        if let Some(remove) = removed {
            rows.remove(&remove.name);
        }
        if let Some(put) = &change.put {
            let (version, expires) = (put.version, now.saturating_add(put.lasts.as_secs()));
            rows.insert(put.name, Row { version, expires, sealed: put.sealed.clone() });
        }
        *swaps += 1;
        if swaps.is_multiple_of(SWAPS_A_PURGE) {
            rows.retain(|_, row| row.expires > now);
        }
        Ok(true)
    }
}

const SWAPS_A_PURGE: u32 = 256;
