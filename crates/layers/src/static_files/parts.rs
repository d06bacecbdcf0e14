//! Several bodies one after the other: the content of `multipart/byteranges` (RFC 9110 section 14.6).

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use onion::{Body, BodyError};

/// Bodies whose lengths are known.
#[derive(Default)]
pub(super) struct Parts {
    parts: VecDeque<Body>,
    /// What is still to come, in bytes.
    length: u64,
}

impl Parts {
    pub(super) fn push(&mut self, part: Body) {
        self.length += part.length().expect("a part of a file has a length");
        self.parts.push_back(part);
    }
}

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        while let Some(part) = self.parts.front_mut() {
            let Some(frame) = ready!(Pin::new(part).poll_frame(context)) else {
                self.parts.pop_front();
                continue;
            };
            let taken = frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
            self.length -= taken as u64;
            return Poll::Ready(Some(frame));
        }
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
