//! Calls whose time is limited by `request_timeout`: each runs apart from the layers around the application.
//!
//! A call holds its thread, and a task that waits for it inline cannot answer in its place. So, where there is a limit,
//! the call runs in a task or on a thread of its own. The layers' side waits for whichever comes first, the response or
//! the timeout, and the 504 passes through the layers as any other response does.

use std::future::{Future, poll_fn};
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use onion::body::Kind;
use onion::{
    Body, BodyError, Notes, Producer, Response, Room, TimeoutWaiter, Unwanted, backlog, thread_is_bound,
    timed_out,
};
use server::StopHandle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// Runs `call` in a task of its own. An iterable that it leaves open stays on that task's thread, and its blocks come
/// through a backlog.
pub(super) async fn apart(
    notes: Arc<Notes>,
    stop: &StopHandle,
    room: Room,
    call: impl FnOnce() -> Response + Send + 'static,
) -> Option<Response> {
    let (sender, receiver) = oneshot::channel();
    let watched = Arc::clone(&notes);
    let task = stop.spawn(async move {
        let mut response = call();
        if !thread_is_bound() {
            // If nothing waits for it, the client has gone or was answered 504.
            let _ = sender.send(response);
            return;
        }
        let (producer, rest) = backlog(&room);
        let body = mem::replace(response.body_mut(), Body::stream(rest));
        if sender.send(response).is_ok() {
            // The receiver continues elsewhere: this thread stays with the application.
            onion::give_way().await;
            pump(body, producer, &watched).await;
        }
    });
    let mut unfinished = Unfinished(Some(task));
    let response = in_time(&notes, async { receiver.await.ok() }).await;
    unfinished.0 = None;
    response
}

/// Waits for `response`, but no longer than until the call is timed out. A body that is still being produced then breaks
/// off.
pub(super) async fn in_time(
    notes: &Arc<Notes>,
    response: impl Future<Output = Option<Response>>,
) -> Option<Response> {
    let mut response = pin!(response);
    let mut response = poll_fn(|context| match notes.poll_timed_out(TimeoutWaiter::Response, context) {
        Poll::Ready(()) => Poll::Ready(Some(timed_out())),
        Poll::Pending => response.as_mut().poll(context),
    })
    .await?;
    if matches!(response.body().kind(), Kind::Stream(_)) {
        let body = mem::take(response.body_mut());
        *response.body_mut() = Body::stream(Timed { body, notes: Arc::clone(notes) });
    }
    Some(response)
}

/// Adds a block to a backlog, and waits for room unless the call is timed out: a client that takes nothing must not hold
/// the thread longer than that.
pub(super) async fn push(
    producer: &mut Producer,
    mut block: Bytes,
    notes: Option<&Notes>,
) -> Result<(), Unwanted> {
    poll_fn(|context| match producer.poll_push(context, &mut block) {
        Poll::Pending if is_timed_out(notes, context) => Poll::Ready(Err(Unwanted)),
        pushed => pushed,
    })
    .await
}

fn is_timed_out(notes: Option<&Notes>, context: &Context<'_>) -> bool {
    notes.is_some_and(|notes| notes.poll_timed_out(TimeoutWaiter::Producer, context).is_ready())
}

/// Moves all blocks of `body` to a backlog, unless they are no longer wanted.
async fn pump(mut body: Body, mut producer: Producer, notes: &Notes) {
    while let Some(block) = body.next_block().await {
        match block {
            Ok(block) => {
                if push(&mut producer, block, Some(notes)).await.is_err() {
                    return;
                }
            }
            Err(error) => return producer.fail(error),
        }
    }
    producer.end();
}

/// A task that is cancelled unless its response was awaited to the end.
struct Unfinished(Option<AbortHandle>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// A body that breaks off when the call that produces it is timed out.
struct Timed {
    body: Body,
    notes: Arc<Notes>,
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.notes.poll_timed_out(TimeoutWaiter::Response, context).is_ready() {
            return Poll::Ready(Some(Err(BodyError::Overdue)));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}
