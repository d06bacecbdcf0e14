//! Lets other tasks go first.

use std::future::poll_fn;
use std::mem;
use std::task::Poll;

/// Lets the tasks that wait for this thread go first.
///
/// Unlike `tokio::task::yield_now` it stays in the runtime's queue, from where another thread can take it: that one
/// keeps the task with the thread until it parks, and the thread may be in a call into Python for long before that.
pub async fn give_way() {
    let mut given = false;
    poll_fn(|context| {
        if mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
