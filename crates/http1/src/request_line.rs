//! The request line: method, target, version (RFC 9112 section 3).
//!
//! A method begins with an upper-case letter and has at most [`LONGEST_METHOD`] token characters: stricter than
//! the grammar, which would take `-bl` or `get`; no registered method is refused by it. `CONNECT` is answered
//! with 501, because nothing here is a tunnel.

use http::{Method, StatusCode};

use crate::rejection::Rejection;
use crate::syntax::is_token_byte;
use crate::target::{self, Form};

/// The longest method that is read on; a longer one is answered with 501 (RFC 9112 section 3).
const LONGEST_METHOD: usize = 32;

/// Judges a method and target that are complete.
pub(crate) fn judge(method: &[u8], target: &[u8]) -> Result<(Method, Form), Rejection> {
    let method = match method {
        b"GET" => Method::GET,
        b"CONNECT" => return Err(Rejection::not_implemented("CONNECT is not supported")),
        _ => {
            method_so_far(method)?;
            Method::from_bytes(method).map_err(|_| BAD_METHOD)?
        }
    };
    let form = target::judge(&method, target)?;
    Ok((method, form))
}

/// Judges a whole request line, without its CRLF: the version first, so that HTTP/2 is told what is wrong.
pub(crate) fn check(line: &[u8]) -> Result<(), Rejection> {
    let (Some(first), Some(last)) = (memchr::memchr(b' ', line), memchr::memrchr(b' ', line)) else {
        return Err(BAD_LINE);
    };
    if first == last {
        return Err(BAD_LINE); // HTTP/0.9, or no target
    }
    check_version(&line[last + 1..])?;
    judge(&line[..first], &line[first + 1..last]).map(drop)
}

/// Refuses what cannot become a method any more, however many bytes are still to come: a TLS hello, garbage.
pub(crate) fn method_so_far(start: &[u8]) -> Result<(), Rejection> {
    match start.first() {
        Some(first) if !first.is_ascii_uppercase() => return Err(BAD_METHOD),
        _ => {}
    }
    for byte in start.iter().take(LONGEST_METHOD) {
        if *byte == b' ' {
            return Ok(());
        }
        if !is_token_byte(*byte) {
            return Err(BAD_METHOD);
        }
    }
    match start.get(LONGEST_METHOD) {
        None | Some(b' ') => Ok(()),
        Some(_) => Err(Rejection::not_implemented("the method is too long")),
    }
}

/// `HTTP/` DIGIT `.` DIGIT and nothing else; well formed but not ours is 505 (RFC 9110 section 15.6.6).
fn check_version(version: &[u8]) -> Result<(), Rejection> {
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Rejection::new(
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "only HTTP/1.0 and HTTP/1.1 are spoken here",
            ))
        }
        _ => Err(Rejection::bad_request("malformed HTTP version")),
    }
}

const BAD_METHOD: Rejection = Rejection::bad_request("malformed method");
const BAD_LINE: Rejection = Rejection::bad_request("malformed request line");
