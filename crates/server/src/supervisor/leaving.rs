//! How a supervisor ends: first gently, then at once.

use std::time::{Duration, Instant, SystemTime};

use onion::{Timestamp, inform};

use super::message::ToWorker;
use super::worker::Stage;
use super::{Phase, Supervisor};

impl Supervisor<'_> {
    /// Begins the stop: the first signal.
    pub(super) fn leave(&mut self) {
        let delay = self.plan.config.drain_delay.0;
        self.abandon_coming();
        self.reload_again = false;
        self.end_successor("the server stops");
        self.notify.stopping();
        if self.generation == 0 || delay.is_zero() {
            return self.stop();
        }
        let delayed = self.plan.config.drain_delay;
        inform(&format!(
            "the server stops in {delayed} (drain_delay); until then it serves, and is not ready"
        ));
        self.phase = Phase::Leaving(Instant::now() + delay);
        for worker in self.workers.values() {
            worker.tell(&ToWorker::Leave);
        }
    }

    /// Has every worker finish.
    pub(super) fn stop(&mut self) {
        self.report_stop();
        self.phase = Phase::Stopping;
        self.end_fork_servers(None);
        let due = self.drained_by();
        for worker in self.workers.values_mut() {
            match worker.stage {
                Stage::Serving => worker.drain(due),
                Stage::Booting | Stage::Ready => worker.kill(),
                Stage::Draining | Stage::Failed => {}
            }
        }
    }

    /// Logs what the stop waits for, when it begins.
    fn report_stop(&self) {
        let serving = self.workers.iter().filter(|(_, worker)| worker.stage == Stage::Serving);
        let pids: Vec<_> = serving.map(|(pid, _)| pid.to_string()).collect();
        if self.phase == Phase::Stopping || pids.is_empty() {
            return;
        }
        let graceful = self.plan.config.graceful_timeout;
        let until = Timestamp::from(SystemTime::now() + graceful.0);
        let (workers, pids) = (if pids.len() == 1 { "worker" } else { "workers" }, pids.join(", "));
        inform(&format!(
            "the server stops: it waits for {workers} {pids} to finish their requests, until {until} at the latest"
        ));
    }

    /// Ends every worker: the second signal.
    pub(super) fn stop_now(&mut self) {
        self.stop();
        let due = Instant::now() + STOPPING_NOW;
        for worker in self.workers.values_mut() {
            worker.tell(&ToWorker::Stop);
            worker.due = worker.due.map(|before| before.min(due));
        }
    }

    /// When a worker that drains from now on is killed: it bounds itself, and this is for when it can't.
    pub(super) fn drained_by(&self) -> Instant {
        Instant::now() + self.plan.config.graceful_timeout.0 + ENDING
    }
}

/// How long a worker that has drained may take to end: the application's own cleaning up.
const ENDING: Duration = Duration::from_secs(5);

/// How long a worker may take to end that is told to do so now.
const STOPPING_NOW: Duration = Duration::from_secs(1);
