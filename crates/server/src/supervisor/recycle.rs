//! When a worker is replaced though nothing is wrong with it: by requests, by age, by memory.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Supervisor;
use super::worker::Stage;
use crate::Config;

/// Why a worker is to have a successor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Retirement {
    pub(crate) cause: Cause,
    /// In words.
    pub(crate) reason: String,
}

/// Why a worker is replaced, reloads apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cause {
    /// It has answered enough requests.
    Requests,
    /// It is old enough.
    Lifetime,
    /// It has too much memory.
    Memory,
    /// A call is stuck.
    Stuck,
    /// It could not run Python.
    Unresponsive,
    /// Somebody has sent it a signal.
    Signal,
    /// It ended while it served.
    Died,
    /// It ended, or failed, before it served.
    NotReady,
    /// One that only a worker of another version knows.
    #[default]
    #[serde(other)]
    Other,
}

impl Cause {
    /// All of them, with their names in the metrics.
    pub(crate) const NAMES: [(Cause, &str); 9] = [
        (Cause::Requests, "requests"),
        (Cause::Lifetime, "lifetime"),
        (Cause::Memory, "memory"),
        (Cause::Stuck, "stuck"),
        (Cause::Unresponsive, "unresponsive"),
        (Cause::Signal, "signal"),
        (Cause::Died, "died"),
        (Cause::NotReady, "not ready"),
        (Cause::Other, "other"),
    ];
}

/// How often the workers' memory is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// After how many requests this worker asks for a successor; 0 is never.
pub(crate) fn most_requests(config: &Config) -> u64 {
    match u64::from(config.max_requests) {
        0 => 0,
        most => most + random() % (u64::from(config.max_requests_jitter) + 1),
    }
}

/// When a worker that begins to serve grows too old.
pub(crate) fn retires(config: &Config, now: Instant) -> Option<Instant> {
    let lifetime = config.max_lifetime.0;
    let earlier = lifetime / 1000 * u32::try_from(random() % 100).unwrap_or_default();
    (!lifetime.is_zero()).then(|| now + lifetime.saturating_sub(earlier))
}

/// The resident memory of a process in bytes, where the system tells it.
pub(crate) fn memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

impl Supervisor<'_> {
    /// When memory is looked at next, if it is limited.
    pub(super) fn looks_at_memory(&self) -> Option<Instant> {
        (self.plan.config.max_memory.0 > 0 && self.generation > 0).then_some(self.memory_due)
    }

    /// Has those replaced that have too much memory.
    pub(super) fn look_at_memory(&mut self, now: Instant) {
        if self.looks_at_memory().is_none_or(|due| due > now) {
            return;
        }
        self.memory_due = now + LOOK_AGAIN;
        let most = self.plan.config.max_memory;
        for worker in self.workers.values_mut() {
            if worker.stage == Stage::Serving
                && worker.retiring.is_none()
                && memory(worker.pid).is_some_and(|memory| memory > most.0)
            {
                let reason = format!("it has more than {most} of memory");
                worker.retiring = Some(Retirement { cause: Cause::Memory, reason });
            }
        }
    }
}

/// Chance enough to keep workers apart.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use onion::Span;

    use super::*;

    #[test]
    fn the_jitter_adds_up_to_its_bound() {
        let config = Config { max_requests: 10, max_requests_jitter: 3, ..Config::default() };
        assert!((0..100).all(|_| (10..=13).contains(&most_requests(&config))));
        assert_eq!(most_requests(&Config::default()), 0);
    }

    #[test]
    fn a_lifetime_is_cut_by_a_tenth_at_most() {
        let now = Instant::now();
        let config = Config { max_lifetime: Span::seconds(100), ..Config::default() };
        let retires = retires(&config, now).expect("it has a lifetime");
        assert!((Duration::from_secs(90)..=Duration::from_secs(100)).contains(&(retires - now)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_is_told_by_the_system() {
        assert!(memory(std::process::id()).is_some_and(|memory| memory > 1 << 16));
    }
}
