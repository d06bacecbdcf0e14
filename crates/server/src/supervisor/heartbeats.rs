//! Workers whose heart does not beat any more: they are ended, and replaced at once.

use std::time::{Duration, Instant};

use onion::report_error;

use super::control::Amiss;
use super::worker::{Stage, kill_with_stack};
use super::{Phase, Supervisor};
use crate::heartbeat::Heartbeat;

/// When the beats are looked at.
#[derive(Debug)]
pub(crate) struct Heartbeats {
    last: Instant,
}

impl Heartbeats {
    pub(crate) fn begin(now: Instant) -> Self {
        Heartbeats { last: now }
    }
}

/// How long a worker has to write its stack before it is killed.
const WRITING: Duration = Duration::from_secs(1);

impl Supervisor<'_> {
    /// How long a worker may go without a beat, if that is limited.
    fn worker_timeout(&self) -> Option<Duration> {
        self.plan.config.worker_timeout.0.map(|limit| limit.0).filter(|limit| !limit.is_zero())
    }

    /// When the beats of workers are looked at next.
    pub(super) fn heartbeats_due(&self) -> Option<Instant> {
        let interval = Heartbeat::interval(self.worker_timeout()?) * 2;
        let is_watched = self.workers.values().any(|worker| worker.beat.is_some());
        is_watched.then(|| self.heartbeats.last + interval)
    }

    /// Ends the workers that have not given a beat for too long.
    pub(super) fn look_at_heartbeats(&mut self, now: Instant) {
        let Some(limit) = self.worker_timeout() else { return };
        if self.heartbeats_due().is_none_or(|due| due > now) {
            return;
        }
        // After a pause of this process itself, as of the whole machine, the workers get all of their time again.
        let interval = Heartbeat::interval(limit) * 2;
        let has_paused = now - self.heartbeats.last > interval + limit / 2;
        self.heartbeats.last = now;
        for worker in self.workers.values_mut() {
            let Some(beat) = worker.beat.as_mut().filter(|_| worker.stage == Stage::Serving) else {
                continue;
            };
            if has_paused {
                *beat = now;
            }
            if now.saturating_duration_since(*beat) < limit || worker.is_unresponsive {
                continue;
            }
            worker.is_unresponsive = true;
            worker.due = Some(now + WRITING);
            kill_with_stack(worker.pid);
            let what = format!(
                "worker {} has not run Python for {} seconds (worker_timeout): it is replaced, and writes its stack to \
                 standard error if it can",
                worker.pid,
                limit.as_secs_f64()
            );
            report_error(&what, "");
            if self.phase == Phase::Serving {
                self.amiss = Some(Amiss::now(&what));
            }
        }
    }
}
