//! One session as it is sealed: who it is, since when, and its values.

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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name(pub(super) [u8; 32]);

impl Name {
    /// In hexadecimal digits.
    pub(super) fn hex(self) -> String {
        let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }
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
    /// Its values, a JSON object.
    pub(super) values: String,
}

impl Record {
    /// An empty session that begins `now`.
    pub(super) fn new(now: u64) -> Self {
        Record { id: Id::new(), begun: now, used: now, version: 0, values: EMPTY.to_owned() }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let times = [self.begun, self.used, self.version].map(u64::to_be_bytes);
        [&self.id.0[..], times.as_flattened(), self.values.as_bytes()].concat()
    }

    /// `None` if it is not one: then nothing of this house made it.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk()?;
        let (begun, rest) = number(rest)?;
        let (used, rest) = number(rest)?;
        let (version, rest) = number(rest)?;
        let values = std::str::from_utf8(rest).ok()?.to_owned();
        Some(Record { id: Id(*id), begun, used, version, values })
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
    use super::Record;

    #[test]
    fn a_record_comes_back_as_it_was() {
        let record = Record { used: 7, version: 3, values: r#"{"a":"ü"}"#.to_owned(), ..Record::new(5) };
        assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
    }

    #[test]
    fn what_is_too_short_is_no_record() {
        let bytes = Record::new(5).to_bytes();
        for length in 0..40 {
            assert_eq!(Record::from_bytes(&bytes[..length]), None);
        }
    }
}
