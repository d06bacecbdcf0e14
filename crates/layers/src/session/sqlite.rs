//! Sessions in a SQLite file, for the processes of one machine.
//!
//! The file is in WAL mode: readers and the one writer don't wait for each other. `synchronous` is `NORMAL`: a process
//! that is killed loses nothing that was saved; a machine that loses its power may lose the last seconds, and the file
//! is whole in either case.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use super::pool::Pool;
use super::record::Name;
use super::store::{Change, Put, Remove, Store, StoreError, left};

pub(super) struct Sqlite {
    path: PathBuf,
    idle: Pool<Connection>,
    swaps: AtomicU32,
}

impl Sqlite {
    pub(super) fn new(path: &Path) -> Self {
        Sqlite { path: path.to_owned(), idle: Pool::new(), swaps: AtomicU32::new(0) }
    }

    /// Runs `work` on a connection, which is kept unless it fails.
    fn with<T>(
        &self,
        until: Instant,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut connection = match self.idle.take() {
            Some(connection) => connection,
            None => self.connect(until)?,
        };
        connection.busy_timeout(left(until)?).map_err(|error| self.failed(&error))?;
        let done = work(&mut connection).map_err(|error| self.failed(&error))?;
        self.idle.give(connection);
        Ok(done)
    }

    fn connect(&self, until: Instant) -> Result<Connection, StoreError> {
        // For its owner alone: SQLite itself would go by the umask.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(self.failed(&error)),
            _ => {}
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let timeout = left(until)?;
        let prepared = || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags(&self.path, flags)?;
            connection.busy_timeout(timeout)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.execute_batch(SCHEMA)?;
            Ok(connection)
        };
        prepared().map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &dyn std::error::Error) -> StoreError {
        StoreError(format!("{}: {error}", self.path.display()))
    }
}

impl Store for Sqlite {
    fn read(&self, name: Name, now: u64, until: Instant) -> Result<Option<Vec<u8>>, StoreError> {
        self.with(until, |connection| {
            let mut read = connection.prepare_cached(READ)?;
            read.query_row(params![name.0, now.cast_signed()], |row| row.get(0)).optional()
        })
    }

    fn swap(&self, change: &Change, now: u64, until: Instant) -> Result<bool, StoreError> {
        self.with(until, |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = change.remove.as_ref().map_or(Ok(true), |remove| take_away(&transaction, remove))?
                && change.put.as_ref().map_or(Ok(true), |put| write(&transaction, put, now))?;
            if !done {
                return Ok(false);
            }
            transaction.commit()?;
            if self.swaps.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWAPS_A_PURGE) {
                // What is saved is saved, even if another process writes just now.
                let _ =
                    connection.prepare_cached(PURGE).and_then(|mut purge| purge.execute([now.cast_signed()]));
            }
            Ok(true)
        })
    }
}

fn take_away(transaction: &Transaction<'_>, remove: &Remove) -> rusqlite::Result<bool> {
    let Some(version) = remove.version else {
        transaction.prepare_cached(REMOVE)?.execute([remove.name.0])?;
        return Ok(true);
    };
    let removed = transaction.prepare_cached(REMOVE_VERSION)?;
    { removed }.execute(params![remove.name.0, version.cast_signed()]).map(|rows| rows == 1)
}

fn write(transaction: &Transaction<'_>, put: &Put, now: u64) -> rusqlite::Result<bool> {
    let (version, expires) = (put.version.cast_signed(), (now + put.lasts.as_secs()).cast_signed());
    let Some(replaces) = put.replaces else {
        let inserted =
            transaction.prepare_cached(INSERT)?.execute(params![put.name.0, version, expires, put.sealed]);
        return match inserted {
            Ok(_) => Ok(true),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(false),
            Err(error) => Err(error),
        };
    };
    let updated = params![put.name.0, version, expires, put.sealed, replaces.cast_signed()];
    transaction.prepare_cached(UPDATE)?.execute(updated).map(|rows| rows == 1)
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS session (
        name BLOB PRIMARY KEY, version INTEGER NOT NULL, expires INTEGER NOT NULL, sealed BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS session_expires ON session (expires);";
const READ: &str = "SELECT sealed FROM session WHERE name = ?1 AND expires > ?2";
const REMOVE: &str = "DELETE FROM session WHERE name = ?1";
const REMOVE_VERSION: &str = "DELETE FROM session WHERE name = ?1 AND version = ?2";
const INSERT: &str = "INSERT INTO session (name, version, expires, sealed) VALUES (?1, ?2, ?3, ?4)";
const UPDATE: &str =
    "UPDATE session SET version = ?2, expires = ?3, sealed = ?4 WHERE name = ?1 AND version = ?5";
/// A few at a time: whoever saves then waits for it.
const PURGE: &str = "DELETE FROM session WHERE name IN (SELECT name FROM session WHERE expires <= ?1 ORDER BY expires LIMIT 500)";
const SWAPS_A_PURGE: u32 = 256;
