//! Keys for session tickets, and when they are changed.
//!
//! Whoever owns them, a supervisor or a server without workers, turns them every six hours. The key that will seal next
//! is given out a whole turn before it does, so a worker that hears of a turn late opens what the others seal meanwhile.
//! Keys in files are whose they are: somebody changes them on several machines.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cryptography::hmac;
use cryptography::rand::{SecureRandom, SystemRandom};
use onion::OptionError;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::{Zeroize, Zeroizing};

/// The keys of a time: the first seals tickets, and all of them open what they have sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TicketKeys(Vec<TicketKey>);

/// A key, with the name that its tickets begin with (RFC 5077 section 4).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TicketKey(Zeroizing<[u8; NAME + SECRET]>);

/// The length of a name, in bytes.
pub(crate) const NAME: usize = 16;

/// The length of what is secret of a key, in bytes.
pub(crate) const SECRET: usize = 32;

/// How long a key seals. For as long again it opens only.
const TURN: Duration = Duration::from_secs(6 * 60 * 60);

/// For how long a ticket is good at the most.
pub(crate) const LIFETIME: Duration = Duration::from_secs(2 * TURN.as_secs());

/// When a turn is tried again for which there was no randomness.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// The lengths of a file of chance, in bytes: as nginx takes them.
const LENGTHS: [usize; 2] = [80, 48];

impl TicketKeys {
    /// Keys in files, the sealing one first.
    pub(crate) fn read(files: &[PathBuf]) -> Result<Self, OptionError> {
        let read = |file: &PathBuf| {
            let refused = |why: &str| {
                let file = file.display();
                OptionError(format!(
                    "tls_ticket_key: {file}: {why}; give one that `openssl rand 80` has made"
                ))
            };
            let chance = fs::read(file).map(Zeroizing::new);
            let chance = chance.map_err(|error| refused(&format!("cannot be read: {error}")))?;
            if LENGTHS.contains(&chance.len()) {
                Ok(TicketKey::derived(&chance))
            } else {
                Err(refused(&format!("has {} bytes", chance.len())))
            }
        };
        files.iter().map(read).collect::<Result<_, _>>().map(TicketKeys)
    }

    /// Those that seal and open, the sealing one first.
    pub(crate) fn all(&self) -> &[TicketKey] {
        &self.0
    }
}

impl TicketKey {
    /// `None` if the system has no randomness.
    fn random() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; NAME + SECRET]);
        SystemRandom::new().fill(&mut *bytes).ok()?;
        Some(TicketKey(bytes))
    }

    /// Name and secret by some bytes that nobody else knows.
    fn derived(chance: &[u8]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, chance);
        let mut bytes = Zeroizing::new([0; NAME + SECRET]);
        let (name, secret) = bytes.split_at_mut(NAME);
        name.copy_from_slice(&hmac::sign(&key, b"onionskin ticket name").as_ref()[..NAME]);
        secret.copy_from_slice(hmac::sign(&key, b"onionskin ticket secret").as_ref());
        TicketKey(bytes)
    }

    /// The name, and what is secret.
    pub(crate) fn parts(&self) -> (&[u8], &[u8]) {
        self.0.split_at(NAME)
    }
}

/// Keys, and when they change: by whoever owns them.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    current: TicketKey,
    next: TicketKey,
    previous: Option<TicketKey>,
    due: Instant,
}

impl Rotation {
    /// The first keys. `None` if the system has no randomness.
    pub(crate) fn begin(now: Instant) -> Option<Self> {
        let (current, next) = (TicketKey::random()?, TicketKey::random()?);
        Some(Rotation { current, next, previous: None, due: now + TURN })
    }

    /// Somebody else's keys, which have to be turned in so many seconds.
    pub(crate) fn inherited(keys: TicketKeys, due: u64, now: Instant) -> Option<Self> {
        let mut keys = keys.0.into_iter();
        let (current, next, previous) = (keys.next()?, keys.next()?, keys.next());
        let due = now + Duration::from_secs(due).min(TURN);
        Some(Rotation { current, next, previous, due })
    }

    /// What those need who use the keys.
    pub(crate) fn keys(&self) -> TicketKeys {
        let keys = [&self.current, &self.next].into_iter().chain(&self.previous);
        TicketKeys(keys.cloned().collect())
    }

    /// When they have to be turned.
    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// Turns the keys if it is time. Tells whether they are others now.
    pub(crate) fn turn(&mut self, now: Instant) -> bool {
        let mut turned = false;
        while self.due <= now {
            let Some(key) = TicketKey::random() else {
                self.due = now + TRY_AGAIN;
                return turned;
            };
            let next = std::mem::replace(&mut self.next, key);
            self.previous = Some(std::mem::replace(&mut self.current, next));
            self.due += TURN;
            turned = true;
        }
        turned
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TicketKey(secret)")
    }
}

impl Serialize for TicketKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Zeroizing::new(BASE64_STANDARD.encode(*self.0));
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for TicketKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let mut decoded = BASE64_STANDARD.decode(text.as_bytes()).map_err(de::Error::custom)?;
        let bytes = <[u8; NAME + SECRET]>::try_from(decoded.as_slice());
        decoded.zeroize();
        let bytes = bytes.map_err(|_| de::Error::custom("a key for tickets has another length"))?;
        Ok(TicketKey(Zeroizing::new(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(now: Instant) -> Rotation {
        Rotation::begin(now).expect("there is randomness")
    }

    #[test]
    fn a_key_is_known_a_turn_before_it_seals_and_a_turn_after() {
        let now = Instant::now();
        let mut rotation = begun(now);
        let next = rotation.keys().all()[1].clone();
        let first = rotation.keys().all()[0].clone();

        assert!(!rotation.turn(now + TURN.saturating_sub(Duration::from_secs(1))));
        assert!(rotation.turn(now + TURN));
        assert_eq!(rotation.keys().all()[0], next);
        assert!(rotation.keys().all().contains(&first));
        assert!(rotation.turn(now + 2 * TURN));
        assert_eq!(rotation.keys().all()[2], next);
        assert!(!rotation.keys().all().contains(&first));
    }

    #[test]
    fn keys_that_were_long_forgotten_are_all_others() {
        let now = Instant::now();
        let mut rotation = begun(now);
        let before = rotation.keys();

        assert!(rotation.turn(now + 10 * TURN));
        assert!(rotation.due() > now + 10 * TURN);
        assert!(before.all().iter().all(|key| !rotation.keys().all().contains(key)));
    }

    #[test]
    fn whoever_inherits_keys_turns_them_when_the_one_before_would_have() {
        let now = Instant::now();
        let rotation = begun(now);

        let inherited = Rotation::inherited(rotation.keys(), 60, now).expect("there are keys");
        assert_eq!((inherited.keys(), inherited.due()), (rotation.keys(), now + Duration::from_secs(60)));
        let late = Rotation::inherited(rotation.keys(), u64::MAX, now).expect("there are keys");
        assert_eq!(late.due(), now + TURN);
        assert!(Rotation::inherited(TicketKeys(Vec::new()), 60, now).is_none());
    }

    #[test]
    fn keys_in_files_are_the_same_wherever_they_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = [folder.path().join("first"), folder.path().join("second")];
        fs::write(&files[0], [1; 80]).expect("a file");
        fs::write(&files[1], [2; 48]).expect("a file");

        let keys = TicketKeys::read(&files).expect("they can be read");
        assert_eq!(keys, TicketKeys::read(&files).expect("they can be read"));
        assert_ne!(keys.all()[0], keys.all()[1]);
        assert!(keys.all().iter().all(|key| key.parts().0 != key.parts().1));
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        for (content, why) in [(None, "cannot be read"), (Some(vec![1; 32]), "has 32 bytes")] {
            if let Some(content) = content {
                fs::write(&file, content).expect("a file");
            }
            let refused =
                TicketKeys::read(std::slice::from_ref(&file)).expect_err("it is no key").to_string();
            assert!(refused.contains(why) && refused.contains("openssl rand 80"), "{refused}");
        }
    }

    #[test]
    fn keys_are_told_as_text_and_never_shown() {
        let keys = begun(Instant::now()).keys();
        let text = serde_json::to_string(&keys).expect("they are data");

        assert_eq!(serde_json::from_str::<TicketKeys>(&text).expect("it was written so"), keys);
        assert!(serde_json::from_str::<TicketKeys>("[\"AAAA\"]").is_err());
        assert_eq!(format!("{:?}", keys.all()[0]), "TicketKey(secret)");
    }
}
