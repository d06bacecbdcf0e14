//! Bodies that a layer has begun to take: as a whole, up to a limit, or put together again.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use onion::{Body, BodyError};

/// The body, with all that it had; `None` if it came to its end without a byte.
///
/// It does not give way between empty blocks: nothing may be passed on as long as the head is held.
pub(crate) async fn unless_empty(mut body: Body) -> Option<Body> {
    loop {
        match body.next_block().await? {
            Ok(block) if block.is_empty() => {}
            first => return Some(Body::stream(Begun { first: Some(first), rest: body })),
        }
    }
}

/// What became of a body that was taken in.
pub(crate) enum Collected {
    /// All of it.
    Whole(Bytes),
    /// The body, with all that it had: it is longer than the limit.
    TooLong(Body),
    /// It broke off.
    Broken(BodyError),
}

/// Takes in `body`, unless it is longer than `limit` bytes.
pub(crate) async fn collect(mut body: Body, limit: u64) -> Collected {
    if body.length().is_some_and(|length| length > limit) {
        return Collected::TooLong(body);
    }
    if let Some(bytes) = body.take_bytes() {
        // One that is whole only now had no length to be known by.
        let fits = bytes.len() as u64 <= limit;
        return if fits { Collected::Whole(bytes) } else { Collected::TooLong(bytes.into()) };
    }
    let mut collected = BytesMut::new();
    while let Some(block) = body.next_block().await {
        match block {
            Ok(block) => collected.extend_from_slice(&block),
            Err(error) => return Collected::Broken(error),
        }
        if collected.len() as u64 > limit {
            let first = Some(Ok(collected.freeze()));
            return Collected::TooLong(Body::stream(Begun { first, rest: body }));
        }
    }
    Collected::Whole(collected.freeze())
}

/// A body whose beginning was taken.
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
