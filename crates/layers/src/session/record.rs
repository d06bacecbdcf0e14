//! One session as it is sealed: its id, its times, and its values.

use sha2::{Digest, Sha256};

/// What names a session: 128 random bits that only the client's cookie holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id(pub(super) [u8; 16]);

impl Id {
    pub(super) fn new() -> Self {
        let mut id = [0; 16];
        getrandom::fill(&mut id).expect("the kernel has random bytes");
        Id(id)
    }

    /// What the session is called where others may read it: in stores, in logs. It opens nothing.
    pub(super) fn name(self) -> Name {
        Name(Sha256::digest(self.0).into())
    }
}

/// What a session is called in a store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Name(pub(super) [u8; 32]);

impl Name {
    /// In hexadecimal digits.
    pub(super) fn hex(self) -> String {
        let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }
}

/// How long a session lasts, if the application has chosen that for this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expiry {
    /// When it expires.
    pub lifetime: Lifetime,
    /// Whether its cookie outlives the browser. `None` leaves that to the layer.
    pub persistent: Option<bool>,
}

/// When a session expires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// As the layer's options say.
    #[default]
    OfLayer,
    /// So many seconds after it was used last.
    Unused(u64),
    /// At a point in time, in seconds since 1970.
    Until(u64),
}

/// A session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) id: Id,
    /// When it began or was rotated last, in seconds since 1970.
    pub(super) begun: u64,
    /// When its use was noted last.
    pub(super) used: u64,
    /// How often it was saved: what two requests that change it at once are told apart by.
    pub(super) version: u64,
    pub(super) expiry: Expiry,
    /// Its values, a JSON object.
    pub(super) values: String,
}

impl Record {
    /// An empty session that begins `now`.
    pub(super) fn new(now: u64) -> Self {
        let (expiry, values) = (Expiry::default(), EMPTY.to_owned());
        Record { id: Id::new(), begun: now, used: now, version: 0, expiry, values }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let times = [self.begun, self.used, self.version].map(u64::to_be_bytes);
        [&self.id.0[..], times.as_flattened(), &self.expiry.to_bytes(), self.values.as_bytes()].concat()
    }

    /// `None` if it is not one: then nothing of this house made it.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (begun, rest) = number(rest)?;
        let (used, rest) = number(rest)?;
        let (version, rest) = number(rest)?;
        let (expiry, rest) = Expiry::from_bytes(rest)?;
        let values = std::str::from_utf8(rest).ok()?.to_owned();
        Some(Record { id: Id(*id), begun, used, version, expiry, values })
    }
}

impl Expiry {
    /// Nothing for the layer's own, so that most cookies are no longer for it.
    fn to_bytes(self) -> Vec<u8> {
        if self == Expiry::default() {
            return Vec::new();
        }
        let (kind, seconds) = match self.lifetime {
            Lifetime::OfLayer => (1, 0),
            Lifetime::Unused(seconds) => (2, seconds),
            Lifetime::Until(second) => (3, second),
        };
        let persistent = self.persistent.map_or(0, |persistent| 1 + u8::from(persistent));
        [&[kind, persistent], &seconds.to_be_bytes()[..]].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let [kind @ ..=9, persistent, rest @ ..] = bytes else {
            // The brace of the values.
            return Some((Expiry::default(), bytes));
        };
        let (seconds, rest) = number(rest)?;
        let lifetime = match kind {
            1 => Lifetime::OfLayer,
            2 => Lifetime::Unused(seconds),
            3 => Lifetime::Until(seconds),
            _ => return None,
        };
        let persistent = [None, Some(false), Some(true)].get(usize::from(*persistent)).copied()?;
        Some((Expiry { lifetime, persistent }, rest))
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}

/// The values of a session that has none.
pub(super) const EMPTY: &str = "{}";

#[cfg(test)]
mod tests {
    use super::{Expiry, Lifetime, Record};

    #[test]
    fn a_record_comes_back_as_it_was() {
        let record = Record { used: 7, version: 3, values: r#"{"a":"ü"}"#.to_owned(), ..Record::new(5) };
        assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record.clone()));
        for lifetime in [Lifetime::OfLayer, Lifetime::Unused(300), Lifetime::Until(u64::MAX)] {
            for persistent in [None, Some(false), Some(true)] {
                let record = Record { expiry: Expiry { lifetime, persistent }, ..record.clone() };
                assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
            }
        }
    }

    #[test]
    fn what_is_too_short_is_no_record() {
        let expiry = Expiry { lifetime: Lifetime::Unused(300), persistent: None };
        let bytes = Record { expiry, ..Record::new(5) }.to_bytes();
        for length in (0..40).chain(42..50) {
            assert_eq!(Record::from_bytes(&bytes[..length]), None, "{length}");
        }
    }
}
