//! The request line: method, target, version (RFC 9112 section 3).
//!
//! A method is any token (RFC 9110 section 9.1) of at most [`LONGEST_METHOD`] characters: whether it is one that it
//! knows is for the application to decide. `CONNECT` is answered with 501, because nothing here is a tunnel.

use http::{Method, StatusCode};

use crate::rejection::Rejection;
use crate::syntax::is_token_byte;
use crate::target::{self, Judged};

/// The longest method that is read on; a longer one is answered with 501 (RFC 9112 section 3).
const LONGEST_METHOD: usize = 32;

/// Judges a method and target that are complete.
pub(crate) fn judge(method: &[u8], target: &[u8]) -> Result<(Method, Judged), Rejection> {
    let method = match method {
        b"GET" => Method::GET,
        b"CONNECT" => return Err(Rejection::not_implemented("CONNECT is not supported")),
        _ => {
            method_so_far(method)?;
            Method::from_bytes(method).map_err(|_| BAD_METHOD)?
        }
    };
    let judged = target::judge(&method, target)?;
    Ok((method, judged))
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
    if start.first() == Some(&b' ') {
        return Err(BAD_METHOD);
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

/// `HTTP/` DIGIT `.` DIGIT and nothing else. A higher minor version is read as the highest known one (RFC 9110
/// section 2.5), another major version is 505 (RFC 9110 section 15.6.6).
fn check_version(version: &[u8]) -> Result<(), Rejection> {
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9'] => Ok(()),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Rejection::new(
                StatusCode::HTTP_VERSION_NOT_SUPPORTED,
                "only HTTP/1.0 and HTTP/1.1 are supported",
            ))
        }
        _ => Err(Rejection::bad_request("malformed HTTP version")),
    }
}

const BAD_METHOD: Rejection = Rejection::bad_request("malformed method");
const BAD_LINE: Rejection = Rejection::bad_request("malformed request line");
