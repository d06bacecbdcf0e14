//! What all sessions of one layer have in common: how they are sealed, where they are kept, how long they last.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderValue;
use onion::OptionError;

use super::cookies::CookieForm;
use super::place;
use super::recent::Recent;
use super::record::{Expiry, Id, Lifetime, Record};
use super::seal::Seal;
use super::secrets;
use super::store::{Store, StoreError};
use super::{OnConflict, OnStoreError, Options};

pub(super) struct Keeper {
    pub(super) seal: Seal,
    pub(super) cookie: CookieForm,
    pub(super) backing: Backing,
    pub(super) on_store_error: OnStoreError,
    pub(super) on_conflict: OnConflict,
    pub(super) max_size: u64,
    store_timeout: Duration,
    persistent: bool,
    idle: u64,
    absolute: u64,
    /// Seconds since 1970.
    pub(super) clock: fn() -> u64,
}

/// Where sessions are kept.
pub(super) enum Backing {
    /// In the cookie itself.
    Cookie(Recent),
    /// In a store; the cookie holds the id.
    Store(Arc<dyn Store>),
}

/// What a request's cookies came to.
pub(super) struct Found {
    pub(super) record: Record,
    /// Whether the record was found rather than begun.
    pub(super) known: bool,
    /// Whether the client has a cookie of ours, be it good or not.
    pub(super) came: bool,
    /// Whether the cookie has an older state of the session.
    pub(super) behind: bool,
    /// Why the last one was not good.
    pub(super) refused: Option<&'static str>,
}

impl Keeper {
    pub(super) fn new(options: &Options) -> Result<Arc<Self>, OptionError> {
        let seal = secrets::seal(options)?;
        let cookie = CookieForm::new(options)?;
        let seconds = |name: &str, span: Duration| match span.as_secs() {
            1..=TEN_YEARS => Ok(span.as_secs()),
            _ => Err(OptionError(format!("{name}: it is no time for a session; give one from 1s to 3650d"))),
        };
        let (idle, absolute) = (seconds("idle", options.idle.0)?, seconds("absolute", options.absolute.0)?);
        if options.store_timeout.0.is_zero() {
            return Err(OptionError(
                "store_timeout: nothing happens in no time; give one such as 2s".to_owned(),
            ));
        }
        let store = place::store(&options.store)?;
        Ok(Arc::new(Keeper {
            seal,
            cookie,
            backing: store.map_or_else(|| Backing::Cookie(Recent::default()), Backing::Store),
            on_store_error: options.on_store_error,
            on_conflict: options.on_conflict,
            max_size: options.max_size.0,
            store_timeout: options.store_timeout.0,
            persistent: options.persistent,
            idle,
            absolute,
            clock: wall_clock,
        }))
    }

    /// Until when a request that begins to wait for the store does so.
    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.store_timeout
    }

    /// Whether saving waits for somebody.
    pub(super) fn waits(&self) -> bool {
        matches!(self.backing, Backing::Store(_))
    }

    /// The session that a request belongs to, or a new one. Asks the store, and waits for it.
    pub(super) fn find(&self, cookies: &[HeaderValue]) -> Result<Found, StoreError> {
        let now = (self.clock)();
        let (mut came, mut refused, mut until) = (false, None, None);
        for value in self.cookie.values(cookies) {
            came = true;
            match self.look_up(value, now, &mut until)? {
                Ok((record, behind)) => {
                    return Ok(Found { record, known: true, came, behind, refused: None });
                }
                Err(why) => refused = Some(why),
            }
        }
        Ok(Found { record: Record::new(now), known: false, came, behind: false, refused })
    }

    /// The session that a cookie leads to, and whether the cookie is an older one; or the reason for having none.
    fn look_up(
        &self,
        value: &[u8],
        now: u64,
        until: &mut Option<Instant>,
    ) -> Result<Result<(Record, bool), &'static str>, StoreError> {
        let opened = BASE64_URL_SAFE_NO_PAD.decode(value).ok();
        let Some(opened) = opened.and_then(|sealed| self.seal.open(&self.cookie_purpose(), &sealed)) else {
            return Ok(Err(FOREIGN));
        };
        let mut behind = false;
        let record = match &self.backing {
            Backing::Cookie(recent) => Record::from_bytes(&opened).map(|record| {
                let newer = recent.newer(&record, now);
                behind = newer.is_some();
                newer.unwrap_or(record)
            }),
            Backing::Store(store) => {
                let Ok(id) = opened.try_into().map(Id) else { return Ok(Err(FOREIGN)) };
                let Some(row) = store.read(id.name(), now, *until.get_or_insert_with(|| self.until()))?
                else {
                    return Ok(Err(GONE));
                };
                self.opened_row(id, &row)
            }
        };
        Ok(match record {
            None => Err(FOREIGN),
            Some(record) if self.lasts(&record, now) == 0 => Err(EXPIRED),
            Some(record) => Ok((record, behind)),
        })
    }

    /// The session in the row of `id`, if it was sealed here.
    pub(super) fn opened_row(&self, id: Id, row: &[u8]) -> Option<Record> {
        let opened = self.seal.open(&row_purpose(id), row)?;
        Record::from_bytes(&opened).filter(|record| record.id == id)
    }

    /// For how many more seconds a session is good.
    pub(super) fn lasts(&self, record: &Record, now: u64) -> u64 {
        let until = match record.expiry.lifetime {
            Lifetime::Until(until) => until,
            Lifetime::OfLayer => (record.used + self.idle).min(record.begun + self.absolute),
            // A session that is to last longer than the layer's sessions is allowed to.
            Lifetime::Unused(idle) => {
                let absolute = record.begun.saturating_add(self.absolute.max(idle));
                record.used.saturating_add(idle).min(absolute)
            }
        };
        until.saturating_sub(now)
    }

    /// Whether it is time to note that a session is in use.
    pub(super) fn is_stale(&self, record: &Record, now: u64) -> bool {
        let idle = match record.expiry.lifetime {
            Lifetime::OfLayer => self.idle,
            Lifetime::Unused(idle) => idle,
            Lifetime::Until(_) => return false,
        };
        now.saturating_sub(record.used) >= (idle / 10).max(1)
    }

    /// Whether the cookie of a session outlives the browser.
    pub(super) fn is_persistent(&self, expiry: Expiry) -> bool {
        expiry.persistent.unwrap_or(self.persistent)
    }

    /// What stands in the cookie of a session.
    pub(super) fn cookie_value(&self, record: &Record) -> String {
        let plain = match self.backing {
            Backing::Cookie(_) => record.to_bytes(),
            Backing::Store(_) => record.id.0.to_vec(),
        };
        BASE64_URL_SAFE_NO_PAD.encode(self.seal.seal(&self.cookie_purpose(), &plain))
    }

    /// What stands in the row of a session.
    pub(super) fn row(&self, record: &Record) -> Vec<u8> {
        self.seal.seal(&row_purpose(record.id), &record.to_bytes())
    }

    fn cookie_purpose(&self) -> Vec<u8> {
        let kind: &[u8] = if self.waits() { b"id " } else { b"cookie " };
        [kind, self.cookie.name.as_bytes()].concat()
    }
}

fn row_purpose(id: Id) -> Vec<u8> {
    [&b"row "[..], &id.0].concat()
}

fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

const TEN_YEARS: u64 = 3650 * 86400;
const FOREIGN: &str = "a cookie was not sealed here, or with a secret that is gone";
const GONE: &str = "a cookie is of a session that has ended";
const EXPIRED: &str = "a cookie is of a session that has expired";
