//! A response body on its way from a target to the client.
//!
//! It is read when somebody asks, never before; so a slow client slows the target down. A body that ends early is an
//! error, and never looks like a whole one. Trailers are dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use onion::{Body, BodyError, Span};

use super::failure::Of;
use super::link::{Due, Link, broken, causes};
use super::upstream::Upstream;

/// The body of a response from a target.
pub(crate) struct Relay {
    /// What came at once with the head.
    first: Option<Bytes>,
    incoming: Incoming,
    // None at the end, when it is back in the pool.
    link: Option<Box<Link>>,
    upstream: Arc<Upstream>,
    of: Of,
    due: Due,
    patience: Duration,
    waiting: bool,
}

impl Relay {
    pub(crate) fn new(
        incoming: Incoming,
        link: Box<Link>,
        upstream: Arc<Upstream>,
        of: Of,
        due: Due,
    ) -> Self {
        let patience = upstream.options().read_timeout.0;
        Relay { first: None, incoming, link: Some(link), upstream, of, due, patience, waiting: false }
    }

    /// As a body; nothing if it breaks off before the client has got anything. A short one that is there already is
    /// taken at once: it leaves in one write with its head, and its connection is free for the next request.
    pub(crate) fn into_body(mut self) -> Option<Body> {
        if self.incoming.is_end_stream() {
            self.finish();
            return Some(Body::empty());
        }
        if self.size_hint().exact().is_none_or(|length| length > AT_ONCE) {
            return Some(Body::stream(self));
        }
        // Nobody has to be woken: whoever takes the body asks for the rest.
        match self.poll_whole(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(whole)) => Some(whole.into()),
            Poll::Ready(Err(_)) => None,
            Poll::Pending => Some(Body::stream(self)),
        }
    }

    /// All of a short body, as far as it is there; what came of one that is not is kept.
    fn poll_whole(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, BodyError>> {
        let mut taken = BytesMut::new();
        loop {
            match self.poll_incoming(context) {
                Poll::Ready(Some(Ok(block))) if taken.is_empty() && self.incoming.is_end_stream() => {
                    self.finish();
                    return Poll::Ready(Ok(block));
                }
                Poll::Ready(Some(Ok(block))) => taken.extend_from_slice(&block),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => {
                    self.finish();
                    return Poll::Ready(Ok(taken.freeze()));
                }
                Poll::Pending => {
                    self.first = (!taken.is_empty()).then(|| taken.freeze());
                    return Poll::Pending;
                }
            }
        }
    }

    /// The next block from the target.
    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let had_ended = self.link.as_ref().is_none_or(|link| link.has_ended());
            if let Poll::Ready(block) = self.poll_block(context) {
                return Poll::Ready(block);
            }
            if had_ended {
                return self.fail("the connection ended");
            }
            // Nobody else lets the connection work: what it reads now is there at once.
            let ended = self.link.as_mut().is_none_or(|link| link.drive(context));
            if let Poll::Ready(block) = self.poll_block(context) {
                return Poll::Ready(block);
            }
            if !ended {
                return Poll::Pending;
            }
        }
    }

    /// What the connection has read.
    fn poll_block(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return self.fail(&causes(&error)),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(block) => return Poll::Ready(Some(Ok(block))),
                    Err(_trailers) => {}
                },
            }
        }
    }

    fn poll_times(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Poll::Ready(failure) = self.due.poll(context) {
            return self.fail(&failure.to_string());
        }
        let Some(link) = &mut self.link else { return Poll::Pending };
        if !self.waiting {
            self.waiting = true;
            link.set_deadline(self.patience);
        }
        match link.poll_deadline(context) {
            Poll::Ready(()) => self.fail(&format!("nothing more within {}", Span(self.patience))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The end of the body: its connection is kept, if it is good for more.
    fn finish(&mut self) {
        if let Some(link) = self.link.take() {
            self.upstream.keep(link);
        }
    }

    /// Breaks off.
    fn fail<T>(&mut self, why: &str) -> Poll<Option<Result<T, BodyError>>> {
        self.link = None;
        self.of.tell(self.upstream.name(), &format_args!("the response broke off: {why}"), None);
        let message = format!("the response of {} broke off: {why}", self.upstream.name());
        Poll::Ready(Some(Err(BodyError::Producer(broken(&message).into()))))
    }
}

/// Up to so much is taken at once.
const AT_ONCE: u64 = 64 * 1024;

impl http_body::Body for Relay {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.link.is_none() {
            return Poll::Ready(None);
        }
        let polled = match self.poll_incoming(context) {
            Poll::Pending => self.poll_times(context),
            ready @ Poll::Ready(_) => {
                self.waiting = false;
                ready
            }
        };
        if let Poll::Ready(None) = polled {
            self.finish();
        }
        polled.map(|block| block.map(|block| block.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, Bytes::len) as u64;
        self.incoming
            .size_hint()
            .exact()
            .map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + first))
    }
}
