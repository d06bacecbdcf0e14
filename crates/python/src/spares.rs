//! Threads of the runtime that are kept asleep until calls into Python have blocked the others.
//!
//! The runtime has one thread for each call that may run at once, and one for the network. While calls are short, one
//! thread does it all. If the others slept as the runtime has them sleep, it would wake one whenever two requests
//! came at once, only for it to find that there is nothing left to do. So the spare ones sleep here, in a task of
//! ours, and the watchdog wakes as many as there are calls that block.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use onion::give_way;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::permits::Permits;

/// The spare threads of one runtime.
pub(crate) struct Spares {
    permits: Arc<Permits>,
    state: Mutex<State>,
    /// Wakes a thread that sleeps here.
    summon: Condvar,
    /// Tells a task of ours, which waits as the runtime has tasks wait, to put a thread to sleep again.
    dismiss: Notify,
}

#[derive(Debug)]
struct State {
    total: usize,
    asleep: usize,
    /// How many should be asleep.
    wanted: usize,
    closed: bool,
}

impl Spares {
    /// Puts as many threads of `runtime` to sleep as there are permits; it must have at least one more.
    pub(crate) fn new(permits: &Arc<Permits>, runtime: &Handle) -> Arc<Self> {
        let total = permits.threads();
        let spares = Arc::new(Spares {
            permits: Arc::clone(permits),
            state: Mutex::new(State { total, asleep: 0, wanted: total, closed: false }),
            summon: Condvar::new(),
            dismiss: Notify::new(),
        });
        for _ in 0..total {
            runtime.spawn(Arc::clone(&spares).keep());
        }
        spares
    }

    /// Sees to it that `needed` of the spare threads are at work.
    pub(crate) fn need(&self, needed: usize) {
        let mut state = self.state();
        let wanted = state.total.saturating_sub(needed);
        if wanted == state.wanted {
            return;
        }
        let before = std::mem::replace(&mut state.wanted, wanted);
        if wanted < before {
            self.summon.notify_all();
        } else {
            for _ in before..wanted {
                self.dismiss.notify_one();
            }
        }
    }

    /// Lets all threads go.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.summon.notify_all();
    }

    /// One task: it blocks its thread while the thread isn't needed.
    async fn keep(self: Arc<Self>) {
        loop {
            // A task that was woken on this thread may wait in its LIFO slot, where no other thread can take it, and
            // the runtime passes that by now and then in favour of a task from outside, as this one is. What has given
            // way comes from the thread's queue, and that is looked at only when the slot is empty.
            give_way().await;
            {
                let mut state = self.state();
                while !state.closed && state.asleep < state.wanted {
                    state.asleep += 1;
                    // The runtime wakes one thread for a task, and that one may have been attending the network.
                    self.permits.alarm();
                    state = self.sleep(state);
                    state.asleep -= 1;
                }
                if state.closed {
                    return;
                }
            }
            self.dismiss.notified().await;
        }
    }

    /// Sleeps until fewer threads are wanted asleep than are.
    fn sleep<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        while !state.closed && state.asleep <= state.wanted {
            state = self.summon.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
