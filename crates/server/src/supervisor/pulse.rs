//! The sign of life that systemd may ask for (`WatchdogSec=`): given while this loop turns and some worker's does too.

use std::process::Command;
use std::time::{Duration, Instant};

use super::message::ToWorker;
use super::worker::Stage;
use super::{Phase, Supervisor};

/// When a sign is due.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Half of the time within which one is expected.
    interval: Option<Duration>,
    last: Option<Instant>,
}

impl Pulse {
    /// `within` is what `WATCHDOG_USEC` says.
    pub(crate) fn within(within: Option<Duration>) -> Self {
        Pulse { interval: within.map(|within| within / 2).filter(|half| !half.is_zero()), last: None }
    }

    /// Has another process give it, too.
    pub(crate) fn hand_on(&self, command: &mut Command) {
        if let Some(interval) = self.interval {
            command.env("WATCHDOG_USEC", (interval * 2).as_micros().to_string());
        }
    }

    /// When the next one is due, if any is expected.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.interval.map(|interval| self.last.map_or_else(Instant::now, |last| last + interval))
    }

    /// Whether one is due; the next one then is later. Tells since when a sign of a worker is young enough.
    fn beats(&mut self, now: Instant) -> Option<Instant> {
        let interval = self.interval?;
        if self.last.is_some_and(|last| last + interval > now) {
            return None;
        }
        let since = self.last.unwrap_or(now);
        self.last = Some(now);
        Some(since)
    }
}

impl Supervisor<'_> {
    /// Tells systemd that all is well, if it is, and asks the workers how they are for the next time.
    pub(super) fn give_sign(&mut self, now: Instant) {
        let Some(since) = self.pulse.beats(now) else { return };
        let is_alive = self.workers.values().any(|worker| {
            worker.stage == Stage::Serving
                && (worker.heard >= Some(since) || worker.serving_since >= Some(since))
        });
        // Before the first generation, and at the end, there need not be one.
        if is_alive || self.generation == 0 || self.phase != Phase::Serving {
            self.notify.alive();
        }
        self.workers.values().for_each(|worker| worker.tell(&ToWorker::Count));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_signs_are_given_in_the_time_for_one() {
        let (now, within) = (Instant::now(), Duration::from_secs(10));
        let mut pulse = Pulse::within(Some(within));
        assert_eq!(pulse.beats(now), Some(now));
        assert_eq!(pulse.beats(now + within / 4), None);
        assert_eq!(pulse.due(), Some(now + within / 2));
        assert_eq!(pulse.beats(now + within / 2), Some(now));
    }

    #[test]
    fn nothing_is_due_where_nobody_asks() {
        assert_eq!(Pulse::within(None).due(), None);
    }
}
