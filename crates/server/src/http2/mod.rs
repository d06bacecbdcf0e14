//! HTTP/2: a connection whose streams are requests of their own. The frames are h2's, by way of hyper.
//!
//! The connection's task reads and writes frames. Each stream has a task of its own, in which its handler runs and from
//! which its response is taken, so that a Python iterable stays on its thread as on a connection of HTTP/1
//! ([`stay`](crate::stay)).
//!
//! A client's time is limited here too: for its first frames, between two requests, and for taking what was sent
//! ([`Wire`] for the connection, [`Streams`] for each stream). Most floods of small frames are h2's to refuse; the
//! requests that a client takes back are counted here, since every one of them may have been begun, and the frames that
//! ask for nothing ([`Fragments`](fragments::Fragments)).

mod course;
mod fragments;
mod intake;
mod pump;
mod request;
mod response;
mod stream;
mod wire;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use tokio::time::timeout;

use self::course::Course;
use self::stream::{Streams, Tally};
use self::wire::Wire;
use crate::admission::Seat;
use crate::config::{LINGER, LINGER_MOST, LINGER_PAUSE};
use crate::deadline::Deadline;
use crate::incoming::{Exchange, Reader};
use crate::shared::Shared;

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
    seat.multiplex();
    let config = &shared.config;
    let wire = Wire::new(reader, Arc::clone(&exchange), config.patience(), config.http2_resets);
    let tally = Arc::new(Tally::new(seat, config.http2_resets));
    let window = if shared.bodies.has_memory(WINDOW.into()) { WINDOW } else { LEAST_WINDOW };
    let streams = Streams::new(&shared, &facts, &tally, window);
    let answering = streams.clone();
    let service = service_fn(move |request| answering.answer(request));
    let fits = |size: onion::Size| u32::try_from(size.0).unwrap_or(u32::MAX);
    let connection = Builder::new(streams)
        .max_concurrent_streams(config.http2_streams)
        .initial_connection_window_size(window)
        .initial_stream_window_size(window)
        .max_header_list_size(fits(config.max_head))
        .max_local_error_reset_streams(FAULTS)
        .auto_date_header(false)
        .serve_connection(wire.clone(), service);
    let mut course = Course::new(&shared, &wire, &tally);
    let mut deadline = Deadline::new(config.header_timeout.0);
    let mut connection = pin!(connection);
    let pause = poll_fn(|context| {
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(ended.is_err().then_some(LINGER_PAUSE));
        }
        course.poll_cut(context, &mut deadline, connection.as_mut())
    })
    .await;
    if let Some(pause) = pause {
        linger(&wire, &exchange, pause).await;
    }
}

/// How much of request bodies a client may send that nobody has read yet, on one stream and on the whole connection. What is
/// read is granted anew at once.
const WINDOW: u32 = 1 << 20;

/// The same where all memory for request bodies is taken: the least that the protocol knows.
const LEAST_WINDOW: u32 = 65_535;

/// After so many streams that the client has broken, its connection is closed.
const FAULTS: usize = 100;

/// Reads on until nothing comes for the length of a `pause`, so that the client gets to see what it was told last: a close
/// with unread data resets the connection.
async fn linger(wire: &Wire, exchange: &Exchange, pause: Duration) {
    exchange.writer().shutdown();
    let discard = async {
        let mut discarded = 0;
        while discarded <= LINGER_MOST {
            match timeout(pause, poll_fn(|context| wire.poll_discard(context))).await {
                Ok(Ok(read @ 1..)) => discarded += read,
                _ => return,
            }
        }
    };
    // Time up or not: the connection is closed now.
    let _ = timeout(LINGER, discard).await;
}
