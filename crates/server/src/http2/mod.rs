//! HTTP/2: a connection whose streams are requests of their own. The frames are h2's, by way of hyper.
//!
//! The connection's task reads and writes frames. Each stream has a task of its own, in which its handler runs and from
//! which its response is taken, so that a Python iterable stays on its thread as on a connection of HTTP/1
//! ([`stay`](crate::stay)).
//!
//! A client's time is limited here too: for its first frames, between two requests, and for taking what was sent
//! ([`Wire`] for the connection, [`Streams`] for each stream). What floods of small frames are made of is h2's to refuse;
//! the requests that a client takes back are counted here, since every one of them may have been begun.

mod instead;
mod pump;
mod request;
mod response;
mod stream;
mod wire;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use onion::Trouble;
use tokio::time::timeout;

use self::stream::{Streams, Tally};
use self::wire::Wire;
use crate::admission::Seat;
use crate::config::{LINGER, LINGER_MOST, LINGER_PAUSE};
use crate::connection::Shared;
use crate::deadline::Deadline;
use crate::incoming::{Exchange, Reader};
use crate::metrics::Incident;

/// What a client that speaks HTTP/2 begins with, as far as a parser of HTTP/1 reads it (RFC 9113 section 3.4).
pub(crate) const PREFACE_LINE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Serves a connection until it ends.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    facts: Arc<onion::Connection>,
    exchange: Arc<Exchange>,
    reader: Reader,
) {
    let config = &shared.config;
    let wire = Wire::new(reader, Arc::clone(&exchange), config.write_timeout.0);
    let tally = Arc::new(Tally::new(seat, config.http2_resets));
    let streams = Streams::new(&shared, &facts, &tally);
    let answering = streams.clone();
    let service = service_fn(move |request| answering.answer(request));
    let fits = |size: onion::Size| u32::try_from(size.0).unwrap_or(u32::MAX);
    let connection = Builder::new(streams)
        .max_concurrent_streams(config.http2_streams)
        .max_header_list_size(fits(config.max_head))
        .max_local_error_reset_streams(FAULTS)
        .auto_date_header(false)
        .serve_connection(wire.clone(), service);
    let mut course = Course { shared: &shared, wire: &wire, tally: &tally, stage: Stage::Greeting };
    let mut deadline = Deadline::new(config.header_timeout.0);
    let mut connection = pin!(connection);
    let failed = poll_fn(|context| {
        course.attend(&mut deadline, connection.as_mut());
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(ended.is_err());
        }
        course.poll_cut(context, &mut deadline, connection.as_mut())
    })
    .await;
    if failed {
        linger(&wire, &exchange).await;
    }
}

/// Any client can cause it, as often as it likes: the log is not its to fill.
static TAKEN_BACK: Trouble = Trouble::new();

/// After so many streams that the client has broken, its connection is closed.
const FAULTS: usize = 100;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The client's first frames have not come.
    Greeting,
    Serving,
    /// No further streams are taken: how much had been sent when that was last looked at, and how long no more of it may
    /// be sent, once there are no streams.
    Closing {
        sent: u64,
        patience: Duration,
    },
}

/// Looks after the course of a connection.
struct Course<'a> {
    shared: &'a Shared,
    wire: &'a Wire,
    tally: &'a Tally,
    stage: Stage,
}

impl Course<'_> {
    /// Takes no further streams once the server stops, or somebody else needs the place.
    fn attend<C: Close>(&mut self, deadline: &mut Deadline, connection: Pin<&mut C>) {
        let is_last = self.shared.stop.is_stopping() || self.tally.seat.is_over();
        if is_last && !matches!(self.stage, Stage::Closing { .. }) {
            self.stage = Stage::Closing { sent: 0, patience: FAREWELL };
            deadline.set(FAREWELL);
            connection.close();
        }
    }

    /// Ready when the connection has to end by force; with whether the client should get to see what was sent last.
    fn poll_cut<C: Close>(
        &mut self,
        context: &mut Context<'_>,
        deadline: &mut Deadline,
        mut connection: Pin<&mut C>,
    ) -> Poll<bool> {
        if self.tally.is_too_much() {
            self.shared.incidents.count(Incident::Overdone);
            TAKEN_BACK.report(|| {
                "a client took back more requests than it let be answered: its connection is closed"
                    .to_owned()
            });
            return Poll::Ready(false);
        }
        let config = &self.shared.config;
        loop {
            ready!(deadline.poll(context));
            match self.stage {
                Stage::Greeting if self.wire.received() < GREETING => return Poll::Ready(false),
                Stage::Greeting => {
                    self.stage = Stage::Serving;
                    deadline.set(config.keep_alive.0);
                }
                Stage::Serving => match self.tally.idle() {
                    Some(idle) if idle >= config.keep_alive.0 => {
                        self.stage =
                            Stage::Closing { sent: self.wire.sent(), patience: config.write_timeout.0 };
                        connection.as_mut().close();
                        // What the connection still has to say it says when it is polled next.
                        context.waker().wake_by_ref();
                        deadline.set(config.write_timeout.0);
                    }
                    Some(idle) => deadline.set(config.keep_alive.0.saturating_sub(idle)),
                    None => deadline.set(config.keep_alive.0),
                },
                Stage::Closing { sent: before, patience } => {
                    let sent = self.wire.sent();
                    if sent == before && self.tally.idle().is_some() {
                        return Poll::Ready(false);
                    }
                    self.stage = Stage::Closing { sent, patience };
                    deadline.set(patience);
                }
            }
        }
    }
}

/// How long a client gets to answer that it has understood the server's end, of which there are two frames.
const FAREWELL: Duration = Duration::from_secs(1);

/// The preface and the head of the SETTINGS that follow it, in bytes.
const GREETING: u64 = 24 + 9;

/// A connection that can be told to take no further streams (GOAWAY).
trait Close {
    fn close(self: Pin<&mut Self>);
}

impl<I, S, E> Close for hyper::server::conn::http2::Connection<I, S, E>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResBody: http_body::Body + 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, S::ResBody>,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Reads on for a moment, so that the client gets to see what was wrong: a close with unread data resets the connection.
async fn linger(wire: &Wire, exchange: &Exchange) {
    exchange.writer().shutdown();
    let discard = async {
        let mut discarded = 0;
        while discarded <= LINGER_MOST {
            match timeout(LINGER_PAUSE, poll_fn(|context| wire.poll_discard(context))).await {
                Ok(Ok(read @ 1..)) => discarded += read,
                _ => return,
            }
        }
    };
    // Time up or not: the connection is closed now.
    let _ = timeout(LINGER, discard).await;
}
