//! Keeps the network attended while calls into Python take long.
//!
//! A call runs on the runtime's thread that parsed the request. While it takes long, another thread has to attend the
//! network, and further calls need threads of their own. So a thread looks every millisecond, while there are calls
//! to look after, and wakes a spare thread for each call that has outlived a tick.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::permits::Permits;
use crate::spares::Spares;

const TICK: Duration = Duration::from_millis(1);

/// A spare thread that was needed is kept awake for so many ticks.
const CALM: u32 = 50;

/// A watchdog at work.
pub(crate) struct Watchdog {
    permits: Arc<Permits>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    /// Watches the calls of `permits`, and the spare threads of `runtime`.
    pub(crate) fn start(permits: &Arc<Permits>, runtime: Handle) -> io::Result<Self> {
        permits.open();
        let permits = Arc::clone(permits);
        let watched = Arc::clone(&permits);
        let thread = thread::Builder::new()
            .name("onionskin-watchdog".to_owned())
            .spawn(move || watch(&watched, &runtime))?;
        Ok(Watchdog { permits, thread })
    }

    /// Ends it, and lets the spare threads go.
    pub(crate) fn stop(self) {
        self.permits.close();
        // It holds nothing that its panic could have broken.
        let _ = self.thread.join();
    }
}

fn watch(permits: &Arc<Permits>, runtime: &Handle) {
    let spares = Spares::new(permits, runtime);
    let (mut needed, mut calm) = (0, 0);
    let mut nudges = 0;
    while permits.watch() {
        tick();
        let seen = permits.tick();
        calm = if seen.blocked < needed { calm + 1 } else { 0 };
        if seen.blocked > needed || calm > CALM {
            (needed, calm) = (seen.blocked, 0);
            spares.need(needed);
        }
        nudges = if seen.alarmed { NUDGES } else { nudges };
        if nudges > 0 {
            nudges -= 1;
            // A task that does nothing: the thread that runs it takes over what a blocked one has left in its queue,
            // and attends the network when it is done.
            runtime.spawn(async {});
        }
    }
    spares.close();
}

/// One would do; another costs little, and a network that nobody attends is the end of a server.
const NUDGES: u32 = 3;

#[expect(clippy::disallowed_methods, reason = "the one thread whose work it is to let time pass")]
fn tick() {
    thread::sleep(TICK);
}
