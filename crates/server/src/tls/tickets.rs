//! Session tickets: what a client brings back to resume its session, sealed by keys that all workers share.
//!
//! Promises: a ticket is opened by whichever process has its key, and only for the sites and the client authorities
//! that it was sealed for: with others, the client makes a full handshake. It is good for twelve hours at the most, even
//! if its key lives longer.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use cryptography::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use cryptography::digest::{Context, SHA256};
use cryptography::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;

use super::ticket_keys::{LIFETIME, NAME, Rotation, TicketKey, TicketKeys};

/// The keys that this process has.
#[derive(Debug)]
pub(super) struct Tickets(RwLock<Keys>);

#[derive(Debug)]
struct Keys {
    /// The first seals.
    usable: Vec<Key>,
    /// Those that nobody else turns.
    own: Option<Rotation>,
}

#[derive(Debug)]
struct Key {
    name: [u8; NAME],
    key: LessSafeKey,
}

/// A time, by both clocks: keys are turned by the one that is never set, and other machines know only the other.
#[derive(Clone, Copy, Debug)]
struct Now {
    steady: Instant,
    /// Seconds since 1970.
    seconds: u64,
}

impl Now {
    fn read() -> Self {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Now { steady: Instant::now(), seconds }
    }
}

/// The length of the time that stands before a session, in bytes.
const TIME: usize = 8;

impl Tickets {
    /// Keys of this process alone. `None` if the system has no randomness.
    pub(super) fn own(now: Instant) -> Option<Arc<Self>> {
        let own = Rotation::begin(now)?;
        let keys = Keys { usable: usable(&own.keys()), own: Some(own) };
        Some(Arc::new(Tickets(RwLock::new(keys))))
    }

    /// From now on those of somebody else, who turns them.
    pub(super) fn share(&self, keys: &TicketKeys) {
        let usable = usable(keys);
        if !usable.is_empty() {
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = Keys { usable, own: None };
        }
    }

    /// The keys of this time.
    fn at(&self, now: Instant) -> RwLockReadGuard<'_, Keys> {
        let keys = self.read();
        if keys.own.as_ref().is_none_or(|own| own.due() > now) {
            return keys;
        }
        drop(keys);
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = &mut keys.own
            && own.turn(now)
        {
            let turned = own.keys();
            keys.usable = usable(&turned);
        }
        drop(keys);
        self.read()
    }

    fn read(&self) -> RwLockReadGuard<'_, Keys> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn seal(&self, session: &[u8], purpose: &Purpose, now: Now) -> Option<Vec<u8>> {
        // By chance: a counter would tell how many there are, and would have to be shared. Before two tickets of a key are
        // as likely as 1 in 2^32 to have the same one, there are 2^32 of them: 200,000 a second for all of its turn.
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let keys = self.at(now.steady);
        let key = keys.usable.first()?;
        let mut ticket =
            Vec::with_capacity(NAME + NONCE_LEN + TIME + session.len() + CHACHA20_POLY1305.tag_len());
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        ticket.extend_from_slice(&now.seconds.to_be_bytes());
        ticket.extend_from_slice(session);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = &mut ticket[NAME + NONCE_LEN..];
        let tag = key.key.seal_in_place_separate_tag(nonce, purpose.with(&key.name), sealed).ok()?;
        ticket.extend_from_slice(tag.as_ref());
        Some(ticket)
    }

    fn open(&self, ticket: &[u8], purpose: &Purpose, now: Now) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let keys = self.at(now.steady);
        // A name is no secret.
        let key = keys.usable.iter().find(|key| key.name == name)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut opened = sealed.to_vec();
        let opened = key.key.open_in_place(nonce, purpose.with(&key.name), &mut opened).ok()?;
        let (time, session) = opened.split_first_chunk::<TIME>()?;
        let age = now.seconds.saturating_sub(u64::from_be_bytes(*time));
        (age < LIFETIME.as_secs()).then(|| session.to_vec())
    }
}

fn usable(keys: &TicketKeys) -> Vec<Key> {
    let key = |key: &TicketKey| {
        let (name, secret) = key.parts();
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, secret).ok()?);
        Some(Key { name: name.try_into().ok()?, key })
    };
    keys.all().iter().filter_map(key).collect()
}

/// What tickets are good for: a digest of what must not change between a session and its resumption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Purpose([u8; 32]);

impl Purpose {
    /// The digest of some texts, each of which counts by its length, too.
    pub(super) fn of<T: AsRef<[u8]>>(texts: impl IntoIterator<Item = T>) -> Self {
        let mut context = Context::new(&SHA256);
        for text in texts {
            let text = text.as_ref();
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Purpose(digest)
    }

    /// What a ticket is bound to, beside its key.
    fn with(&self, name: &[u8; NAME]) -> Aad<[u8; NAME + 32]> {
        let mut bound = [0; NAME + 32];
        bound[..NAME].copy_from_slice(name);
        bound[NAME..].copy_from_slice(&self.0);
        Aad::from(bound)
    }
}

/// Tickets, as rustls asks for them.
pub(super) struct Ticketer {
    pub(super) tickets: Arc<Tickets>,
    pub(super) purpose: Purpose,
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(LIFETIME.as_secs()).expect("it is less than a day")
    }

    fn encrypt(&self, session: &[u8]) -> Option<Vec<u8>> {
        self.tickets.seal(session, &self.purpose, Now::read())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.tickets.open(ticket, &self.purpose, Now::read())
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ticketer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TURN: Duration = Duration::from_secs(LIFETIME.as_secs() / 2);

    fn purpose(name: &str) -> Purpose {
        Purpose::of([name])
    }

    fn later(now: Now, by: Duration) -> Now {
        Now { steady: now.steady + by, seconds: now.seconds + by.as_secs() }
    }

    fn own(now: Now) -> Arc<Tickets> {
        Tickets::own(now.steady).expect("there is randomness")
    }

    fn rotation(now: Now) -> Rotation {
        Rotation::begin(now.steady).expect("there is randomness")
    }

    fn worker(rotation: &Rotation, now: Now) -> Arc<Tickets> {
        let tickets = own(now);
        tickets.share(&rotation.keys());
        tickets
    }

    #[test]
    fn a_ticket_of_one_worker_is_opened_by_another() {
        let now = Now::read();
        let rotation = rotation(now);
        let (one, other) = (worker(&rotation, now), worker(&rotation, now));
        let ticket = one.seal(b"session", &purpose("site"), now).expect("it is sealed");

        assert_eq!(other.open(&ticket, &purpose("site"), now).as_deref(), Some(&b"session"[..]));
        let stranger = own(now);
        assert_eq!(stranger.open(&ticket, &purpose("site"), now), None);
    }

    #[test]
    fn a_worker_that_hears_of_a_turn_late_opens_what_the_others_seal() {
        let now = Now::read();
        let mut rotation = rotation(now);
        let (late, prompt) = (worker(&rotation, now), worker(&rotation, now));
        let before = late.seal(b"before", &purpose("site"), now).expect("it is sealed");
        assert!(rotation.turn(now.steady + TURN));
        prompt.share(&rotation.keys());
        let after = prompt.seal(b"after", &purpose("site"), now).expect("it is sealed");

        assert_eq!(late.open(&after, &purpose("site"), now).as_deref(), Some(&b"after"[..]));
        assert_eq!(prompt.open(&before, &purpose("site"), now).as_deref(), Some(&b"before"[..]));
        assert_ne!(before[..NAME], after[..NAME]);
    }

    #[test]
    fn a_ticket_is_good_for_one_turn_at_least_and_for_two_at_most() {
        let now = Now::read();
        let tickets = own(now);
        let last = later(now, TURN.saturating_sub(Duration::from_secs(1)));
        let ticket = tickets.seal(b"session", &purpose("site"), last).expect("it is sealed");

        assert!(tickets.open(&ticket, &purpose("site"), later(last, TURN)).is_some());
        assert!(tickets.open(&ticket, &purpose("site"), later(now, 2 * TURN)).is_none());
    }

    #[test]
    fn a_ticket_is_not_good_for_longer_because_its_key_is() {
        let now = Now::read();
        let tickets = worker(&rotation(now), now);
        let ticket = tickets.seal(b"session", &purpose("site"), now).expect("it is sealed");

        let end = later(now, LIFETIME);
        assert!(tickets.open(&ticket, &purpose("site"), later(now, TURN)).is_some());
        assert!(tickets.open(&ticket, &purpose("site"), end).is_none());
        let new = tickets.seal(b"session", &purpose("site"), end).expect("it is sealed");
        assert!(tickets.open(&new, &purpose("site"), end).is_some());
        // By the clock of another machine that is behind.
        assert!(tickets.open(&new, &purpose("site"), now).is_some());
    }

    #[test]
    fn a_ticket_for_other_sites_or_other_authorities_is_none() {
        let now = Now::read();
        let tickets = own(now);
        let ticket = tickets.seal(b"session", &Purpose::of(["a", "b"]), now).expect("it is sealed");

        assert!(tickets.open(&ticket, &Purpose::of(["a", "b"]), now).is_some());
        for other in [Purpose::of(["ab"]), Purpose::of(["b", "a"]), Purpose::of(["a", "b", ""])] {
            assert_eq!(tickets.open(&ticket, &other, now), None);
        }
    }

    #[test]
    fn what_is_no_ticket_or_was_changed_is_none() {
        let now = Now::read();
        let tickets = own(now);
        let ticket = tickets.seal(b"session", &purpose("site"), now).expect("it is sealed");

        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(tickets.open(&changed, &purpose("site"), now), None);
            assert_eq!(tickets.open(&ticket[..place], &purpose("site"), now), None);
        }
    }

    #[test]
    fn two_tickets_for_one_session_differ() {
        let now = Now::read();
        let tickets = own(now);
        let seal = || tickets.seal(b"session", &purpose("site"), now);

        assert_ne!(seal(), seal());
    }
}
