//! Which of several targets a request goes to.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use http::HeaderName;
use http::request::Parts;
use onion::{Context, OptionError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::member::Member;

/// The ways to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum Policy {
    P2c,
    RoundRobin,
    Hash,
}

/// What decides with [`Policy::Hash`].
#[derive(Debug)]
pub(super) enum Key {
    Client,
    Path,
    Header(HeaderName),
}

impl Key {
    pub(super) fn parse(text: &str) -> Result<Self, OptionError> {
        match text {
            "client" => Ok(Key::Client),
            "path" => Ok(Key::Path),
            name => name.parse().map(Key::Header).map_err(|_| {
                OptionError(format!(
                    "hash_by: {text:?} is no header name; give client, path or a header's name"
                ))
            }),
        }
    }

    fn hash(&self, parts: &Parts, hasher: &mut DefaultHasher) {
        match self {
            Key::Client => {
                let context = parts.extensions.get::<Context>();
                context.and_then(|context| context.connection.peer.address).hash(hasher);
            }
            Key::Path => parts.uri.path().hash(hasher),
            Key::Header(name) => {
                parts.headers.get_all(name).iter().for_each(|value| value.as_bytes().hash(hasher));
            }
        }
    }
}

/// Chooses.
#[derive(Debug)]
pub(super) struct Chooser {
    policy: Policy,
    key: Key,
    state: AtomicU64,
}

impl Chooser {
    /// `seed` makes the choices of several processes differ.
    pub(super) fn new(policy: Policy, key: Key, seed: u64) -> Self {
        Chooser { policy, key, state: AtomicU64::new(seed) }
    }

    /// The index of a member that is not among `tried`; of those that are well, if there is one.
    pub(super) fn choose(&self, members: &[Arc<Member>], tried: &[usize], parts: &Parts) -> Option<usize> {
        let now = Instant::now();
        let untried = |index: &usize| !tried.contains(index);
        let well = |index: &usize| untried(index) && members[*index].is_well(now);
        let count = (0..members.len()).filter(well).count();
        if count > 0 {
            return self.among((0..members.len()).filter(well), count, members, parts);
        }
        // Better one that may fail than none.
        let count = (0..members.len()).filter(untried).count();
        self.among((0..members.len()).filter(untried), count, members, parts)
    }

    fn among(
        &self,
        mut candidates: impl Iterator<Item = usize> + Clone,
        count: usize,
        members: &[Arc<Member>],
        parts: &Parts,
    ) -> Option<usize> {
        if count < 2 {
            return candidates.next();
        }
        match self.policy {
            Policy::RoundRobin => {
                let turn = self.state.fetch_add(1, Relaxed);
                candidates.nth(below(turn, count))
            }
            Policy::P2c => {
                let chance = self.chance();
                let first = below(chance, count);
                let other = (first + 1 + below(chance >> 32, count - 1)) % count;
                let pick = |position| candidates.clone().nth(position);
                let (first, other) = (pick(first)?, pick(other)?);
                Some(if members[other].busy() < members[first].busy() { other } else { first })
            }
            // The highest score wins: one member more or less moves only its own share (rendezvous hashing).
            Policy::Hash => candidates.max_by_key(|index| {
                let mut hasher = DefaultHasher::new();
                self.key.hash(parts, &mut hasher);
                members[*index].mark.hash(&mut hasher);
                hasher.finish()
            }),
        }
    }

    /// Numbers that look like chance (splitmix64).
    fn chance(&self) -> u64 {
        let mut mixed = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn below(number: u64, count: usize) -> usize {
    usize::try_from(number % count as u64).unwrap_or(0)
}
