//! A request body, as its bytes arrive.

use bytes::{Bytes, BytesMut};

use crate::chunked::Chunks;
use crate::rejection::Rejection;

/// How a request body is framed (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body, also for `Content-Length: 0`.
    None,
    /// As many bytes as Content-Length says.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// What one call of [`BodyDecoder::decode`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Bytes of the body, never none; there may be more in the buffer, call again.
    Data(Bytes),
    /// The buffer is used up and the body is not complete: call again when the buffer has grown. When the client
    /// has closed, the body is cut short, which is an error for the one who reads it.
    NeedMore,
    /// The body is complete; what is left in the buffer is the next request. Repeated if asked again.
    End,
}

/// Decodes one request body.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(Chunks),
    Rejected(Rejection),
}

impl BodyDecoder {
    /// A decoder for a body with this framing.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None => State::Length(0),
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Chunks::default()),
        };
        Self { state }
    }

    /// Takes what it can off `buffer`, without copying it. After a rejection every further call gives the same.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, Rejection> {
        let outcome = match &mut self.state {
            State::Length(remaining) => Ok(take(buffer, remaining)),
            State::Chunked(chunks) => chunks.decode(buffer),
            State::Rejected(rejection) => Err(*rejection),
        };
        if let Err(rejection) = outcome {
            self.state = State::Rejected(rejection);
        }
        outcome
    }

    /// Whether all of the body was taken.
    pub fn is_complete(&self) -> bool {
        match &self.state {
            State::Length(remaining) => *remaining == 0,
            State::Chunked(chunks) => chunks.is_complete(),
            State::Rejected(_) => false,
        }
    }

    /// How many bytes are to come, where Content-Length tells.
    pub fn remaining(&self) -> Option<u64> {
        match &self.state {
            State::Length(remaining) => Some(*remaining),
            State::Chunked(_) | State::Rejected(_) => None,
        }
    }
}

/// Takes at most `remaining` bytes off the buffer and counts them.
pub(crate) fn take(buffer: &mut BytesMut, remaining: &mut u64) -> Decoded {
    if *remaining == 0 {
        return Decoded::End;
    }
    if buffer.is_empty() {
        return Decoded::NeedMore;
    }
    let length = usize::try_from(*remaining).map_or(buffer.len(), |remaining| remaining.min(buffer.len()));
    *remaining -= length as u64;
    Decoded::Data(buffer.split_to(length).freeze())
}
