//! The answer in the place of a handler that takes too long, where the time of calls is limited.
//!
//! A call holds the thread that its stream's future would go on in. So, where there is such a limit, handlers run in a
//! task of their own, and the stream's future waits for whichever comes first: the response, or word that it is late.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use http::StatusCode;
use onion::{Body, Notes, Request, Response, Substitute, backlog, thread_is_bound};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use super::pump::Pump;
use crate::shared::Shared;
use crate::stay::Stay;

/// Word from whoever looks after the time of calls.
#[derive(Default)]
pub(super) struct Instead(Mutex<Word>);

#[derive(Default)]
struct Word {
    /// What the client is to be answered.
    status: Option<StatusCode>,
    /// The answer has begun, and is to be broken off.
    is_cut: bool,
    waker: Option<Waker>,
}

impl Instead {
    /// Has word wake the running task.
    pub(super) fn wake_with(&self, context: &Context<'_>) {
        self.word().waker = Some(context.waker().clone());
    }

    pub(super) fn is_cut(&self) -> bool {
        self.word().is_cut
    }

    fn say(&self, say: impl FnOnce(&mut Word)) {
        let waker = {
            let mut word = self.word();
            say(&mut word);
            word.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn word(&self) -> MutexGuard<'_, Word> {
        // Nothing that runs under this lock can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Substitute for Instead {
    fn answer(&self, status: StatusCode) {
        self.say(|word| word.status = Some(status));
    }

    fn cut(&self) {
        self.say(|word| word.is_cut = true);
    }
}

impl fmt::Debug for Instead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Instead")
    }
}

/// Has the handler answer in a task of its own; the answer is another one if it takes too long.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    request: Request,
    notes: Arc<Notes>,
    instead: &Instead,
) -> Response {
    let (sender, receiver) = oneshot::channel();
    let handling = handle(Arc::clone(shared), request, notes, sender);
    let handling = tokio::spawn(Stay::new(shared.stop.enter(None), handling));
    let mut left = Left(Some(handling.abort_handle()));
    let mut receiver = pin!(receiver);
    let response = poll_fn(|context| {
        instead.wake_with(context);
        if let Some(status) = instead.word().status {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = status;
            return Poll::Ready(response);
        }
        // Without an answer the task was cut off: the server is being stopped.
        receiver.as_mut().poll(context).map(|answer| {
            answer.unwrap_or_else(|_| {
                onion::plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n")
            })
        })
    })
    .await;
    left.0 = None;
    response
}

/// A handler whose client may leave before its answer.
struct Left(Option<AbortHandle>);

impl Drop for Left {
    fn drop(&mut self) {
        if let Some(handling) = &self.0 {
            handling.abort();
        }
    }
}

/// Answers, and takes what an application's open iterable gives, on the thread that it is bound to.
async fn handle(shared: Arc<Shared>, request: Request, notes: Arc<Notes>, sender: oneshot::Sender<Response>) {
    let mut response = shared.call(request).await;
    if !notes.claim() {
        return;
    }
    if !thread_is_bound() {
        // If nobody waits for it, the client has gone.
        let _ = sender.send(response);
        return;
    }
    let (producer, rest) = backlog(&shared.room);
    let pump = Pump::of(std::mem::replace(response.body_mut(), Body::stream(rest)), producer);
    if sender.send(response).is_ok() {
        // Whoever waits goes on elsewhere: this thread is the application's now.
        onion::give_way().await;
        pump.run().await;
    }
}
