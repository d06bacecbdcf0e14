//! A worker's heartbeat: signs that its interpreter can be had, at regular intervals.
//!
//! A thread that takes the interpreter for each beat gives them. When beats fail to come (a regular expression that does
//! not end, C code that never releases the interpreter), the worker accepts no further connections, so that the other
//! workers get them; and its supervisor, which hears of no beats, replaces it (`worker_timeout`). Calls that take long
//! but let others run (`time.sleep`, a database) delay no beat, however many there are.

use std::sync::Arc;
use std::time::Duration;

use onion::report;
use tokio::sync::watch;
use tokio::time::timeout;

/// The heartbeat of one process. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat {
    shared: Arc<Beats>,
}

#[derive(Debug, Default)]
struct Beats {
    beats: watch::Sender<u64>,
    /// Whether beats fail to come.
    held: watch::Sender<bool>,
}

/// The longest interval between two beats.
const INTERVAL: Duration = Duration::from_millis(250);

/// After so many intervals without a beat nothing is accepted.
const LATE: u32 = 4;

impl Heartbeat {
    /// Returns the interval between two beats of a worker that is replaced after `worker_timeout`.
    pub fn interval(worker_timeout: Duration) -> Duration {
        (worker_timeout / (2 * LATE)).min(INTERVAL)
    }

    /// Gives a beat.
    pub fn beat(&self) {
        self.shared.beats.send_modify(|beats| *beats += 1);
    }

    pub(crate) fn beats(&self) -> watch::Receiver<u64> {
        self.shared.beats.subscribe()
    }

    pub(crate) fn is_held(&self) -> bool {
        *self.shared.held.borrow()
    }

    /// Waits until the interpreter is held, or no longer.
    pub(crate) async fn until_held(&self, held: bool) {
        // It cannot fail: the sender is this.
        let _ = self.shared.held.subscribe().wait_for(|now| *now == held).await;
    }

    /// Notices when beats fail to come, and when they come again.
    pub(crate) async fn look_after(self, worker_timeout: Duration) {
        let late = Heartbeat::interval(worker_timeout) * LATE;
        let mut beats = self.beats();
        loop {
            let is_late = timeout(late, beats.changed()).await.is_err();
            if self.shared.held.send_if_modified(|held| std::mem::replace(held, is_late) != is_late) {
                report(if is_late {
                    "the interpreter is held by a call: this worker accepts no connections until it is released"
                } else {
                    "the interpreter is released: this worker accepts connections again"
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn beats_that_fail_to_come_are_noticed_until_they_come_again() {
        let heartbeat = Heartbeat::default();
        tokio::spawn(heartbeat.clone().look_after(Duration::from_millis(80)));
        heartbeat.until_held(true).await;
        assert!(heartbeat.is_held());
        heartbeat.beat();
        heartbeat.until_held(false).await;
    }
}
