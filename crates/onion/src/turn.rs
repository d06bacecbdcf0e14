//! Lets other tasks go first.

use std::cell::Cell;
use std::future::poll_fn;
use std::mem;
use std::task::{Context, Poll};

/// Lets the tasks that wait for this thread go first.
///
/// Unlike `tokio::task::yield_now` it stays in the runtime's queue, from where another thread can take it: that one
/// keeps the task with the thread until it parks, and the thread may be in a call into Python for long before that.
pub async fn give_way() {
    let mut given = false;
    poll_fn(|context| poll_give_way(context, &mut given)).await;
}

/// The same for whoever polls: ready once `given` is set, which the first call does.
pub fn poll_give_way(context: &Context<'_>, given: &mut bool) -> Poll<()> {
    if mem::replace(given, true) {
        return Poll::Ready(());
    }
    GIVEN.set(true);
    context.waker().wake_by_ref();
    Poll::Pending
}

/// Whether something on this thread has given way since this was last asked: for whoever polls, and has to know a
/// task that is willing to go on at once from one that was woken while it was on its way to sleep.
pub fn has_given_way() -> bool {
    GIVEN.take()
}

thread_local! {
    static GIVEN: Cell<bool> = const { Cell::new(false) };
}
