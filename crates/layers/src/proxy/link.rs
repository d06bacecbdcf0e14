//! One connection to a target, with at most one request on it.
//!
//! hyper's connection is a future that somebody has to poll. Here that is the very request that uses it, not a task
//! beside it: a request that is dropped takes its connection along, nothing is ever stuck unseen, and a body that must
//! not leave its thread is read on it.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep_until};

use super::failure::Failure;
use super::upload::Upload;
use super::wire::{Meter, Wire};

/// A connection to a target.
pub(crate) struct Link {
    sender: SendRequest<Upload>,
    /// None once it is of no use any more.
    connection: Option<Connection<TokioIo<Wire>, Upload>>,
    meter: Arc<Meter>,
    deadline: Deadline,
    ended: bool,
    /// Since when it is idle.
    since: Instant,
}

/// What became of a request that got no response.
pub(crate) struct Unanswered {
    pub(crate) failure: Failure,
    /// The request, if nothing of it was sent.
    pub(crate) unsent: Option<Upload>,
}

impl Link {
    /// The HTTP connection over `wire`.
    pub(crate) async fn new(wire: Wire) -> Result<Box<Self>, Failure> {
        let meter = Arc::clone(&wire.meter);
        let mut builder = Builder::new();
        builder.max_header_size(HEAD_MOST).max_buf_size(BUFFER_MOST).title_case_headers(true);
        // A proxy removes the blank of `Name : value` from a response, and does not reject it (RFC 9112 section 5.1).
        builder.allow_spaces_after_header_name_in_responses(true);
        let (sender, connection) =
            builder.handshake(TokioIo::new(wire)).await.map_err(|error| malformed(&error))?;
        let (connection, deadline, since) = (Some(connection), Deadline::new(), Instant::now());
        Ok(Box::new(Link { sender, connection, meter, deadline, ended: false, since }))
    }

    /// Sends `request`, and waits for the head of the response: for as long as `patience` from the last time on that
    /// the target took something.
    ///
    /// No `async fn`: what it gives does not have to hold the request.
    pub(crate) fn send<'a>(
        &'a mut self,
        request: Request<Upload>,
        patience: Duration,
        due: &'a mut Due,
    ) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> + Send + 'a {
        let upload = request.body().progress();
        let read_before = self.meter.read();
        let mut written = self.meter.written();
        self.meter.allow(ALLOWED);
        self.deadline.set(patience);
        // Boxed: it has room for the request, in case that it comes back.
        let mut response = Box::pin(self.sender.try_send_request(request));
        async move {
            let answered = poll_fn(|context| {
                drive(&mut self.connection, &mut self.ended, context);
                if let Poll::Ready(answered) = response.as_mut().poll(context) {
                    return Poll::Ready(Ok(answered));
                }
                if self.ended {
                    // It has closed before the request was taken off its queue: only its end gives that back.
                    self.connection = None;
                    return Poll::Ready(match response.as_mut().poll(context) {
                        Poll::Ready(answered) => Ok(answered),
                        Poll::Pending => Err(Failure::Closed),
                    });
                }
                if let Poll::Ready(failure) = due.poll(context) {
                    return Poll::Ready(Err(failure));
                }
                let waits = upload.as_ref().is_some_and(|upload| upload.waits_for_client());
                if waits || self.meter.written() != written {
                    written = self.meter.written();
                    self.deadline.set(patience);
                }
                self.deadline.poll(context).map(|()| Err(Failure::TimedOut(patience)))
            });
            let mut error = match answered.await {
                Ok(Ok(response)) => {
                    self.meter.allow(u64::MAX);
                    return Ok(response);
                }
                Err(failure) => return Err(Unanswered { failure, unsent: None }),
                Ok(Err(error)) => error,
            };
            let unsent = error.take_message().map(Request::into_body);
            let failure = match upload.and_then(|upload| upload.take_failure()) {
                Some(failure) => Failure::Upload(failure),
                None if self.meter.read() == read_before => Failure::Closed,
                None => malformed(error.error()),
            };
            Err(Unanswered { failure, unsent })
        }
    }

    /// Lets the connection work on. Tells whether it has ended.
    pub(crate) fn drive(&mut self, context: &mut Context<'_>) -> bool {
        drive(&mut self.connection, &mut self.ended, context);
        self.ended
    }

    /// Whether the connection has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Sets the time for the next block of a response.
    pub(crate) fn set_deadline(&mut self, patience: Duration) {
        self.deadline.set(patience);
    }

    /// Ready when that time is up.
    pub(crate) fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.deadline.poll(context)
    }

    /// Whether it can take a further request, after the last one is done; to be asked before it is kept.
    pub(crate) fn is_done_well(&mut self) -> bool {
        self.since = Instant::now();
        !self.drive(&mut Context::from_waker(Waker::noop())) && self.sender.is_ready()
    }

    /// Whether an idle connection is still good: not older than `most`, and with `probe` not closed either, as far as
    /// the kernel knows. Without, the request finds out.
    pub(crate) fn is_usable(&mut self, most: Duration, probe: bool) -> bool {
        if self.since.elapsed() >= most {
            return false;
        }
        if probe {
            self.meter.probe();
            return !self.drive(&mut Context::from_waker(Waker::noop())) && self.sender.is_ready();
        }
        true
    }

    /// The raw connection after a `101 Switching Protocols`, with what was read of it already.
    pub(crate) async fn into_raw(self: Box<Self>) -> Result<(Wire, Bytes), Failure> {
        let connection = self.connection.ok_or(Failure::Closed)?;
        let parts = connection.without_shutdown().await.map_err(|error| malformed(&error))?;
        Ok((parts.io.into_inner(), parts.read_buf))
    }
}

fn drive(
    connection: &mut Option<Connection<TokioIo<Wire>, Upload>>,
    ended: &mut bool,
    context: &mut Context<'_>,
) {
    if let (Some(connection), false) = (connection, *ended) {
        // How it ended is told to whoever waits for the response or its body.
        *ended = connection.poll_without_shutdown(context).is_ready();
    }
}

/// hyper's error, with its causes.
pub(crate) fn malformed(error: &hyper::Error) -> Failure {
    Failure::Malformed(causes(error))
}

/// An error and its causes in one line.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Not what is told twice: many errors repeat their cause.
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

/// The largest response head.
const HEAD_MOST: usize = 64 * 1024;

/// As much is read at once, at most.
const BUFFER_MOST: usize = 128 * 1024;

/// As much may come before a response head is there, interim responses included.
const ALLOWED: u64 = 512 * 1024;

/// A deadline that is moved on with every request and hardly ever reached: moving it later costs no timer.
struct Deadline {
    due: Instant,
    // Set to `due` or before it: one that wakes too early is set anew, one that is due later is never late.
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    fn new() -> Self {
        let due = Instant::now();
        Deadline { due, timer: Box::pin(sleep_until(due)) }
    }

    fn set(&mut self, after: Duration) {
        self.due = later(after);
        if self.due < self.timer.deadline() {
            self.timer.as_mut().reset(self.due);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            if Instant::now() >= self.due {
                return Poll::Ready(());
            }
            let due = self.due;
            self.timer.as_mut().reset(due);
        }
    }
}

/// The time by which a request has to be done as a whole, if there is one.
pub(crate) struct Due(Option<(Duration, Pin<Box<Sleep>>)>);

impl Due {
    pub(crate) fn new(within: Option<Duration>) -> Self {
        Due(within.map(|within| (within, Box::pin(sleep_until(later(within))))))
    }

    /// `work`, unless that time comes first.
    pub(crate) async fn bound<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut work = pin!(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll(context).map(Err),
        })
        .await
    }

    /// Ready when that time has come.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Failure> {
        match &mut self.0 {
            None => Poll::Pending,
            Some((within, timer)) => timer.as_mut().poll(context).map(|()| Failure::TotalTimedOut(*within)),
        }
    }
}

/// `after` from now; as good as never, if that is too far away to be told.
fn later(after: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(after).unwrap_or_else(|| now + Duration::from_secs(86400 * 365))
}

/// The error of a body that breaks off.
pub(crate) fn broken(what: &str) -> io::Error {
    io::Error::other(what.to_owned())
}
