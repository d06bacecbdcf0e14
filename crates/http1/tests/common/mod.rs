//! What the tables of the tests are written with: each input is parsed at once and byte by byte.

#![allow(dead_code, reason = "each test file uses its own part")]

use bytes::{Bytes, BytesMut};
use http1::{BodyDecoder, Decoded, Framing, HeadParser, Limits, Rejection, RequestHead};

pub(crate) fn parse_with(limits: Limits, input: &[u8]) -> Result<Option<RequestHead>, Rejection> {
    let at_once = HeadParser::new(limits).parse(&mut BytesMut::from(input));
    let mut parser = HeadParser::new(limits);
    let mut buffer = BytesMut::new();
    let mut bytewise = Ok(None);
    for byte in input {
        buffer.extend_from_slice(&[*byte]);
        bytewise = parser.parse(&mut buffer);
        if !matches!(bytewise, Ok(None)) {
            break;
        }
    }
    assert_eq!(format!("{at_once:?}"), format!("{bytewise:?}"), "{}", input.escape_ascii());
    at_once
}

pub(crate) fn parse(input: &[u8]) -> Result<Option<RequestHead>, Rejection> {
    parse_with(Limits::default(), input)
}

/// The head, which must be complete and accepted.
#[track_caller]
pub(crate) fn accepted(input: &[u8]) -> RequestHead {
    match parse(input) {
        Ok(Some(head)) => head,
        other => panic!("{}: {other:?}", input.escape_ascii()),
    }
}

/// The status of the refusal; 0 if it was accepted, 1 if more is waited for.
pub(crate) fn status(input: &[u8]) -> u16 {
    match parse(input) {
        Ok(Some(_)) => 0,
        Ok(None) => 1,
        Err(rejection) => rejection.status.as_u16(),
    }
}

/// Each input is refused with this status.
#[track_caller]
pub(crate) fn all_refused<I: AsRef<[u8]>>(expected: u16, inputs: impl IntoIterator<Item = I>) {
    for input in inputs {
        assert_eq!(status(input.as_ref()), expected, "{}", input.as_ref().escape_ascii());
    }
}

/// A request with this request line, otherwise fine.
pub(crate) fn line(line: &[u8]) -> Vec<u8> {
    [line, b"\r\nHost: a\r\n\r\n"].concat()
}

/// A POST on HTTP/1.1 with these header lines, each with its line end, besides Host.
pub(crate) fn fields(lines: &[u8]) -> Vec<u8> {
    [b"POST / HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n"].concat()
}

/// A GET on HTTP/1.1 with these header lines and no others.
pub(crate) fn bare(lines: &[u8]) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\n", lines, b"\r\n"].concat()
}

/// What is left of a body: its data and whether it is complete, or the refusal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) data: Vec<u8>,
    pub(crate) end: Result<bool, Rejection>,
    pub(crate) left: Bytes,
}

/// Decodes reads of at most `step` bytes.
pub(crate) fn decode_in_steps(framing: Framing, input: &[u8], step: usize) -> Body {
    let mut decoder = BodyDecoder::new(framing);
    let mut buffer = BytesMut::new();
    let mut data = Vec::new();
    for read in input.chunks(step).chain([&[][..]]) {
        buffer.extend_from_slice(read);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Decoded::Data(block)) => {
                    assert!(!block.is_empty());
                    data.extend_from_slice(&block);
                }
                Ok(Decoded::NeedMore | Decoded::End) => break,
                Err(rejection) => {
                    assert_eq!(decoder.decode(&mut buffer), Err(rejection), "a refusal stays");
                    return Body { data, end: Err(rejection), left: Bytes::new() };
                }
            }
        }
    }
    Body { data, end: Ok(decoder.is_complete()), left: buffer.freeze() }
}

/// Decodes chunks at once and byte by byte, which must come to the same.
#[track_caller]
pub(crate) fn chunks(input: &[u8]) -> Body {
    let at_once = decode_in_steps(Framing::Chunked, input, usize::MAX);
    for step in 1..4 {
        assert_eq!(decode_in_steps(Framing::Chunked, input, step), at_once, "{}", input.escape_ascii());
    }
    at_once
}
