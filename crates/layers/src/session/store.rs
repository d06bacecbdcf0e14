//! The contract of a store: rows by name, and a change of them that happens whole or not at all.

use std::fmt;
use std::time::{Duration, Instant};

use super::record::Name;

/// Keeps sealed sessions for several processes. Its calls wait, so they are made where waiting does no harm.
pub(super) trait Store: Send + Sync {
    /// The row of this name, unless its time is over. Whatever it takes, it is given up at `until`.
    fn read(&self, name: Name, now: u64, until: Instant) -> Result<Option<Vec<u8>>, StoreError>;

    /// Does all of `change`, or says `false` and does nothing: somebody else has changed the row in the meantime.
    fn swap(&self, change: &Change, now: u64, until: Instant) -> Result<bool, StoreError>;
}

/// A change of rows.
#[derive(Default)]
pub(super) struct Change {
    pub(super) remove: Option<Remove>,
    pub(super) put: Option<Put>,
}

/// A row to be taken away.
pub(super) struct Remove {
    pub(super) name: Name,
    /// The version that it must have; `None` takes it away whatever it is.
    pub(super) version: Option<u64>,
}

/// A row to be written.
pub(super) struct Put {
    pub(super) name: Name,
    /// The version of the row that it replaces; `None` for a new one.
    pub(super) replaces: Option<u64>,
    pub(super) version: u64,
    pub(super) sealed: Vec<u8>,
    /// How long it lasts.
    pub(super) lasts: Duration,
}

/// Returns the time left until `until`; an error if it has passed.
pub(super) fn left(until: Instant) -> Result<Duration, StoreError> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(StoreError("it took longer than store_timeout".to_owned())) } else { Ok(left) }
}

/// Why a store could not do what it was asked for.
#[derive(Debug)]
pub(super) struct StoreError(pub(super) String);

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
