//! Gives a worker's heartbeat: a thread that takes the interpreter for each beat.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use server::Heartbeat;

use crate::threads::{attached, release};

/// Gives beats until it is dropped.
pub(crate) struct Beating {
    ended: Arc<AtomicBool>,
}

impl Beating {
    /// Begins to give beats, one in each `interval`.
    pub(crate) fn begin(heartbeat: &Heartbeat, interval: Duration) -> io::Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let (heartbeat, until) = (heartbeat.clone(), Arc::clone(&ended));
        thread::Builder::new().name("onionskin-heartbeat".to_owned()).spawn(move || {
            while !until.load(Relaxed) {
                attached(|_| ());
                heartbeat.beat();
                pause(interval);
            }
            release();
        })?;
        Ok(Beating { ended })
    }
}

impl Drop for Beating {
    /// Does not wait for the thread: the interpreter may be held.
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread whose work it is to let time pass")]
fn pause(interval: Duration) {
    thread::sleep(interval);
}
