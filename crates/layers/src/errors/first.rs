//! Looks whether a body has anything in it, without losing what it finds.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use onion::{Body, BodyError};

/// The body, with all that it had; `None` if it came to its end without a byte.
///
/// It does not give way between empty blocks: nothing may be passed on as long as the head is held.
pub(super) async fn first_of(mut body: Body) -> Option<Body> {
    loop {
        match body.next_block().await? {
            Ok(block) if block.is_empty() => {}
            block => return Some(Body::stream(Begun { first: Some(block), rest: body })),
        }
    }
}

/// A body whose first block was taken.
struct Begun {
    first: Option<Result<Bytes, BodyError>>,
    rest: Body,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first.map(Frame::data))),
            None => http_body::Body::poll_frame(Pin::new(&mut self.rest), context),
        }
    }
}
