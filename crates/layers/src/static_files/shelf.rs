//! What was found lately, so that it need not be looked for at each request. Bounded, and trusted for a short while.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::found::Found;

/// Files by their names.
pub(super) struct Shelf {
    recheck: Duration,
    kept: Mutex<Kept>,
}

/// Two generations: when the young one is full it becomes the old one, and the old one goes. What is asked for stays.
#[derive(Default)]
struct Kept {
    young: HashMap<Vec<u8>, Entry>,
    old: HashMap<Vec<u8>, Entry>,
}

#[derive(Clone)]
struct Entry {
    found: Arc<Found>,
    checked: Instant,
}

/// What the shelf knows of a name.
pub(super) enum Known {
    /// It was looked at a moment ago.
    Fresh(Arc<Found>),
    /// It was so once.
    Stale(Arc<Found>),
    Nothing,
}

impl Shelf {
    /// `recheck`: for how long a file is taken for what it was.
    pub(super) fn new(recheck: Duration) -> Self {
        Shelf { recheck, kept: Mutex::default() }
    }

    pub(super) fn get(&self, name: &[u8], now: Instant) -> Known {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.young.contains_key(name)
            && let Some((name, entry)) = kept.old.remove_entry(name)
        {
            kept.insert(name, entry);
        }
        match kept.young.get(name) {
            None => Known::Nothing,
            Some(entry) if now.saturating_duration_since(entry.checked) < self.recheck => {
                Known::Fresh(Arc::clone(&entry.found))
            }
            Some(entry) => Known::Stale(Arc::clone(&entry.found)),
        }
    }

    pub(super) fn put(&self, name: &[u8], found: &Arc<Found>, now: Instant) {
        let entry = Entry { found: Arc::clone(found), checked: now };
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_vec(), entry);
    }

    pub(super) fn forget(&self, name: &[u8]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.young.remove(name);
        kept.old.remove(name);
    }
}

impl Kept {
    fn insert(&mut self, name: Vec<u8>, entry: Entry) {
        if self.young.len() >= MOST {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(name, entry);
    }
}

/// So many names are in a generation: at most twice as many files are open.
const MOST: usize = 128;
