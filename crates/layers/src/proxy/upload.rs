//! A request body on its way to a target: asked for only when the target is connected and takes it.

use std::io;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use onion::{Body, BodyError};

/// The body of a request that is sent on.
#[derive(Debug)]
pub(crate) struct Upload {
    body: Body,
    // None for no body at all, the common request.
    progress: Option<Arc<Progress>>,
    limit: u64,
    sent: u64,
}

/// How far an upload is, for whoever waits for the response.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    waiting: AtomicBool,
    failure: Mutex<Option<BodyError>>,
}

impl Progress {
    /// Whether it is the client that is waited for.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.waiting.load(Relaxed)
    }

    /// Why the client's side failed, if it did.
    pub(crate) fn take_failure(&self) -> Option<BodyError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Upload {
    /// `body`, of which no more than `limit` bytes are sent.
    pub(crate) fn new(body: Body, limit: u64) -> Self {
        let progress = (body.length() != Some(0)).then(Arc::default);
        Upload { body, progress, limit, sent: 0 }
    }

    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        self.progress.clone()
    }

    /// The body, of which nothing was sent.
    pub(crate) fn into_body(mut self) -> Body {
        mem::take(&mut self.body)
    }

    fn fail(&self, error: BodyError) -> io::Error {
        if let Some(progress) = &self.progress {
            *progress.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        io::Error::other("the upload failed")
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Some(progress) = &self.progress {
            progress.waiting.store(polled.is_pending(), Relaxed);
        }
        let frame = match ready!(polled) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(self.fail(error)))),
            Some(Ok(frame)) => frame,
        };
        self.sent += frame.data_ref().map_or(0, Bytes::len) as u64;
        if self.sent > self.limit {
            let error = BodyError::TooLarge(self.limit);
            return Poll::Ready(Some(Err(self.fail(error))));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.length() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
