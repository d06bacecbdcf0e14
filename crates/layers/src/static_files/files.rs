//! Looks files up: on the shelf, or on the disk.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::found::{self, Found};
use super::policy::Policy;
use super::root::{Opened, Root};
use super::shelf::{Known, Shelf};
use crate::accept::Coding;

/// The files below a root.
pub(super) struct Files {
    pub(super) root: Root,
    pub(super) policy: Policy,
    pub(super) shelf: Shelf,
    /// Whether there may be compressed forms beside a file.
    pub(super) precompressed: bool,
}

/// What is at a name.
pub(super) enum Entry {
    File(Arc<Found>),
    Folder,
    Nothing,
}

impl Files {
    /// What is at `name`, as it is now or was a moment ago.
    pub(super) fn get(&self, name: &[u8]) -> io::Result<Entry> {
        let now = Instant::now();
        let known = match self.shelf.get(name, now) {
            Known::Fresh(found) => return Ok(Entry::File(found)),
            Known::Stale(found) => Some(found),
            Known::Nothing => None,
        };
        let (file, metadata) = match self.root.open(name, now)? {
            Opened::File(file, metadata) => (file, metadata),
            other => {
                if known.is_some() {
                    self.shelf.forget(name);
                }
                return Ok(if matches!(other, Opened::Folder) { Entry::Folder } else { Entry::Nothing });
            }
        };
        let opened =
            self.with_compressed(name, found::Opened { coding: Coding::Identity, file, metadata }, now);
        let found = match known.filter(|known| known.is_still(&opened)) {
            Some(known) => known,
            None => Arc::new(Found::read(opened, self.policy.headers(name), SystemTime::now())?),
        };
        self.shelf.put(name, &found, now);
        Ok(Entry::File(found))
    }

    /// The file, and those of its compressed forms that are there and not older than it.
    fn with_compressed(&self, name: &[u8], plain: found::Opened, now: Instant) -> Vec<found::Opened> {
        let modified = plain.metadata.mtime();
        let mut opened = vec![plain];
        for (coding, suffix) in SUFFIXES.iter().filter(|_| self.precompressed) {
            // One that can't be opened is not needed either.
            if let Ok(Opened::File(file, metadata)) = self.root.open(&[name, suffix.as_bytes()].concat(), now)
                && metadata.mtime() >= modified
            {
                opened.push(found::Opened { coding: *coding, file, metadata });
            }
        }
        opened
    }
}

/// What the names of compressed forms end with, best first.
const SUFFIXES: [(Coding, &str); 3] =
    [(Coding::Zstd, ".zst"), (Coding::Brotli, ".br"), (Coding::Gzip, ".gz")];
