//! Sessions in Redis or Valkey, for many machines.
//!
//! A row is a string: the version in eight bytes, then what is sealed. A change is one script, so it happens whole or
//! not at all; rows that are over are Redis's to forget.

use std::time::Instant;

use onion::OptionError;
use redis::{Client, Commands, Connection, RedisError, Script};

use super::pool::Pool;
use super::record::Name;
use super::store::{Change, Store, StoreError, left};

pub(super) struct Valkey {
    client: Client,
    idle: Pool<Connection>,
    swap: Script,
}

impl Valkey {
    pub(super) fn new(url: &str) -> Result<Self, OptionError> {
        let url = url.replacen("valkey://", "redis://", 1);
        // The URL is not shown: it may hold a password.
        let client = Client::open(url).map_err(|error| {
            OptionError(format!("store: {}; give redis://host:port/database", error.category()))
        })?;
        Ok(Valkey { client, idle: Pool::new(), swap: Script::new(SWAP) })
    }

    /// Runs `work` on a connection. One that was idle may have been closed from the other end: then a new one is tried.
    /// All of that together takes no longer than `until`.
    fn with<T>(
        &self,
        until: Instant,
        work: impl Fn(&mut Connection) -> Result<T, RedisError>,
    ) -> Result<T, StoreError> {
        while let Some(mut connection) = self.idle.take() {
            limit(&connection, until)?;
            match work(&mut connection) {
                Ok(done) => {
                    self.idle.give(connection);
                    return Ok(done);
                }
                Err(error) if error.is_connection_dropped() => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        let mut connection =
            self.client.get_connection_with_timeout(left(until)?).map_err(|error| failed(&error))?;
        limit(&connection, until)?;
        let done = work(&mut connection).map_err(|error| failed(&error))?;
        self.idle.give(connection);
        Ok(done)
    }
}

impl Store for Valkey {
    fn read(&self, name: Name, _now: u64, until: Instant) -> Result<Option<Vec<u8>>, StoreError> {
        let row: Option<Vec<u8>> = self.with(until, |connection| connection.get(key(name)))?;
        Ok(row.and_then(|row| row.get(VERSION..).map(<[u8]>::to_vec)))
    }

    fn swap(&self, change: &Change, _now: u64, until: Instant) -> Result<bool, StoreError> {
        let Some(anything) =
            change.put.as_ref().map(|put| put.name).or(change.remove.as_ref().map(|it| it.name))
        else {
            return Ok(true);
        };
        let mut call = self.swap.prepare_invoke();
        call.key(key(change.remove.as_ref().map_or(anything, |remove| remove.name)));
        call.key(key(change.put.as_ref().map_or(anything, |put| put.name)));
        match &change.remove {
            None => call.arg("none").arg(""),
            Some(remove) => match remove.version {
                None => call.arg("any").arg(""),
                Some(version) => call.arg("version").arg(&version.to_be_bytes()[..]),
            },
        };
        if let Some(put) = &change.put {
            let row = [&put.version.to_be_bytes()[..], &put.sealed].concat();
            let replaces = put.replaces.map_or(Vec::new(), |version| version.to_be_bytes().to_vec());
            call.arg(replaces).arg(row).arg(put.lasts.as_millis().max(1).to_string());
        }
        self.with(until, |connection| call.invoke::<i64>(connection)).map(|done| done == 1)
    }
}

/// Has the next call on a connection end at `until`, about: each read and write of it may take what is left.
fn limit(connection: &Connection, until: Instant) -> Result<(), StoreError> {
    let timeout = Some(left(until)?);
    let timed = connection.set_read_timeout(timeout).and_then(|()| connection.set_write_timeout(timeout));
    timed.map_err(|error| failed(&error))
}

fn key(name: Name) -> String {
    format!("onionskin:session:{}", name.hex())
}

fn failed(error: &RedisError) -> StoreError {
    StoreError(error.to_string())
}

/// The bytes of the version in a row.
const VERSION: usize = 8;

/// KEYS: the row to be removed, the row to be written. ARGV: which one is removed, its version, and, if one is
/// written, the version that it replaces, the row, and its time in milliseconds.
const SWAP: &str = "
    if ARGV[1] == 'version' and redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[2] then return 0 end
    if ARGV[4] and redis.call('GETRANGE', KEYS[2], 0, 7) ~= ARGV[3] then return 0 end
    if ARGV[1] ~= 'none' then redis.call('DEL', KEYS[1]) end
    if ARGV[4] then redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5]) end
    return 1";
