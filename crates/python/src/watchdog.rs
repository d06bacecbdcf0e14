//! Keeps the network attended while calls into Python take long.
//!
//! A call runs on the runtime's thread that parsed the request. If it was the one that attends the I/O driver, and
//! the other threads sleep, nobody would notice a socket until the call ends. So a thread looks every millisecond,
//! while there are calls to look after, and wakes one of the sleeping threads when a call has outlived a tick.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::permits::{Permits, Tick};

const TICK: Duration = Duration::from_millis(1);

/// Watches the calls of `permits` until they are closed.
pub(crate) fn watch(permits: Arc<Permits>, runtime: Handle) {
    let body = move || {
        while permits.watch() {
            thread::sleep(TICK);
            if let Tick::Nudge = permits.tick() {
                // A task that does nothing: the thread that runs it looks after the driver when it goes back to sleep.
                runtime.spawn(async {});
            }
        }
    };
    thread::Builder::new()
        .name("onionskin-watchdog".to_owned())
        .spawn(body)
        .expect("the system has a thread left when a server starts");
}
