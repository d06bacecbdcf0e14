//! How a connection's requests end, and the connection with them: what is read of a body that nobody wants, the answer
//! to what is no request, the close.

use std::future::poll_fn;

use http::{Method, Version};
use http1::{BodyDecoder, Decoded, Rejection};
use onion::panicked;
use tokio::time::timeout;

use super::Connection;
use crate::config::{DRAIN, DRAINING, LINGER, LINGER_MOST, LINGER_PAUSE};
use crate::incoming::{Reader, Returned};
use crate::respond::{Asked, Label};
use crate::seeing::End;

impl Connection {
    /// Takes the reading side back from the request's body, and reads on to the end of the body if little is left.
    pub(super) async fn regain_reader(&mut self, returned: Option<Box<Returned>>, keep_alive: bool) -> bool {
        let Some(mut returned) = returned.or_else(|| self.exchange.take_back()) else { return false };
        let drained = keep_alive
            && !returned.is_lost()
            && (returned.decoder.is_complete()
                || timeout(DRAINING, drain(&mut returned.reader, &mut returned.decoder))
                    .await
                    .unwrap_or(false));
        self.reader = Some(returned.reader);
        drained
    }

    /// Refuses what is no request.
    pub(super) async fn reject(&mut self, rejection: Rejection) {
        let response = self.shared.reject(&rejection);
        let asked = Asked { label: Label::default(), version: Version::HTTP_11, keep_alive: false };
        self.notes = None;
        self.enter_refused();
        // If it can't be sent, nobody is there to be told.
        let end = self.respond(&asked, response).await.map_or_else(|broken| broken.0, |_| End::Whole);
        self.leave(end);
    }

    /// Answers a request whose handler panicked before it gave an answer to wait for.
    pub(super) async fn answer_panic(&mut self) {
        let method = if self.is_head { Method::HEAD } else { Method::GET };
        let label = Label { method, ..Label::default() };
        let asked = Asked { label, version: Version::HTTP_11, keep_alive: false };
        let end = self.respond(&asked, panicked()).await.map_or_else(|broken| broken.0, |_| End::Whole);
        self.leave(end);
        if self.reader.is_none() {
            self.reader = self.exchange.take_back().map(|returned| returned.reader);
        }
    }

    /// Closes so that the client gets the last response: what it still sends is read for a short while, since a
    /// close with unread data resets the connection (RFC 9112 section 9.6).
    pub(super) async fn linger(mut self) {
        self.exchange.writer().shutdown();
        let Some(mut reader) = self.reader.take() else { return };
        let discard = async {
            let mut discarded = 0;
            while discarded <= LINGER_MOST {
                reader.buffer.clear();
                match timeout(LINGER_PAUSE, poll_fn(|context| reader.poll_fill(context))).await {
                    Ok(Ok(read @ 1..)) => discarded += read,
                    _ => return,
                }
            }
        };
        // Time up or not: the connection is closed now.
        let _ = timeout(LINGER, discard).await;
    }
}

/// Reads the rest of a body that nobody wants, up to a bound. Tells whether it came to its end.
async fn drain(reader: &mut Reader, decoder: &mut BodyDecoder) -> bool {
    let mut drained = 0;
    while drained <= DRAIN {
        match decoder.decode(&mut reader.buffer) {
            Err(_) => return false,
            Ok(Decoded::End) => return true,
            Ok(Decoded::Data(block)) => drained += block.len(),
            Ok(Decoded::NeedMore) => match poll_fn(|context| reader.poll_fill(context)).await {
                Ok(0) | Err(_) => return false,
                Ok(_) => {}
            },
        }
    }
    false
}
