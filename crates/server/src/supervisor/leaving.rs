//! How a supervisor ends: first gently, then at once.

use std::time::{Duration, Instant};

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
        self.phase = Phase::Leaving(Instant::now() + delay);
        for worker in self.workers.values() {
            worker.tell(&ToWorker::Leave);
        }
    }

    /// Has every worker finish.
    pub(super) fn stop(&mut self) {
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
