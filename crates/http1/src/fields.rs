//! The fields that decide how a request is read: Host, Content-Length, Transfer-Encoding, Connection, Expect.
//!
//! - Host: exactly one, at most one on HTTP/1.0 (RFC 9112 section 3.2); the target's own takes its place (3.2.2).
//! - Content-Length: one field, one number, no list even of equal ones (stricter than RFC 9112 section 6.3).
//! - Transfer-Encoding: `chunked` once and nothing else, never beside Content-Length, never on HTTP/1.0
//!   (RFC 9112 sections 6.1 and 6.3). Known codings before a final `chunked` are answered with 501.
//! - Expect: `100-continue` or 417 (RFC 9110 section 10.1.1).

use http::{StatusCode, Version};

use crate::body::Framing;
use crate::host;
use crate::rejection::Rejection;
use crate::syntax::{decimal, list};

/// What the fields seen so far say.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each field that may come once")]
pub(crate) struct Facts {
    host: bool,
    content_length: Option<u64>,
    chunked: bool,
    content_type: bool,
    connection: Option<Connection>,
    continue_expected: bool,
}

/// What the client asks for the connection. The stronger wish is the greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Connection {
    KeepAlive,
    Close,
}

/// What the head as a whole says.
#[derive(Debug)]
pub(crate) struct Conclusion {
    pub(crate) framing: Framing,
    pub(crate) keep_alive: bool,
    pub(crate) expect_continue: bool,
}

impl Facts {
    /// Takes note of one field. `rest` is the head from behind the colon on.
    pub(crate) fn observe(&mut self, name: &[u8], value: &[u8], rest: &[u8]) -> Result<(), Rejection> {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.observe_host(value),
            6 if name.eq_ignore_ascii_case(b"expect") => self.observe_expect(value),
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.observe_connection(value);
                Ok(())
            }
            12 if name.eq_ignore_ascii_case(b"content-type") => {
                refuse_second(&mut self.content_type, "more than one Content-Type")
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                refuse_tabs(rest)?;
                self.observe_content_length(value)
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                refuse_tabs(rest)?;
                self.observe_transfer_encoding(value)
            }
            _ => Ok(()),
        }
    }

    /// What follows from all fields together.
    pub(crate) fn conclude(self, version: Version) -> Result<Conclusion, Rejection> {
        let persistent = version == Version::HTTP_11;
        if persistent && !self.host {
            return Err(Rejection::bad_request("Host is missing"));
        }
        let framing = self.framing(persistent)?;
        Ok(Conclusion {
            framing,
            keep_alive: match self.connection {
                Some(Connection::Close) => false,
                Some(Connection::KeepAlive) => true,
                None => persistent,
            },
            expect_continue: persistent && self.continue_expected && framing != Framing::None,
        })
    }

    fn framing(&self, persistent: bool) -> Result<Framing, Rejection> {
        match (self.chunked, self.content_length) {
            (true, Some(_)) => {
                Err(Rejection::bad_request("Content-Length and Transfer-Encoding in one request"))
            }
            (true, None) if !persistent => Err(Rejection::bad_request("Transfer-Encoding on HTTP/1.0")),
            (true, None) => Ok(Framing::Chunked),
            (false, Some(0) | None) => Ok(Framing::None),
            (false, Some(length)) => Ok(Framing::Length(length)),
        }
    }

    fn observe_host(&mut self, value: &[u8]) -> Result<(), Rejection> {
        refuse_second(&mut self.host, "more than one Host")?;
        host::check(value)
    }

    fn observe_expect(&mut self, value: &[u8]) -> Result<(), Rejection> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Rejection::new(StatusCode::EXPECTATION_FAILED, "unknown expectation"));
        }
        self.continue_expected = true;
        Ok(())
    }

    fn observe_connection(&mut self, value: &[u8]) {
        for option in list(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.connection = Some(Connection::Close);
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.connection = self.connection.max(Some(Connection::KeepAlive));
            }
        }
    }

    fn observe_content_length(&mut self, value: &[u8]) -> Result<(), Rejection> {
        if self.content_length.is_some() {
            return Err(Rejection::bad_request("more than one Content-Length"));
        }
        self.content_length = Some(decimal(value).ok_or(Rejection::bad_request("malformed Content-Length"))?);
        Ok(())
    }

    fn observe_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Rejection> {
        refuse_second(&mut self.chunked, "more than one Transfer-Encoding")?;
        if value.eq_ignore_ascii_case(b"chunked") {
            return Ok(());
        }
        let mut codings = list(value).collect::<Vec<_>>();
        let last = codings.pop();
        let is_known = |coding: &&[u8]| KNOWN_CODINGS.iter().any(|known| coding.eq_ignore_ascii_case(known));
        if last.is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")) && codings.iter().all(is_known) {
            return Err(Rejection::not_implemented("only the transfer coding chunked is supported"));
        }
        Err(Rejection::bad_request("malformed Transfer-Encoding"))
    }
}

fn refuse_second(seen: &mut bool, reason: &'static str) -> Result<(), Rejection> {
    if std::mem::replace(seen, true) { Err(Rejection::bad_request(reason)) } else { Ok(()) }
}

/// A tab is optional whitespace by the grammar; around a framing field it is an attempt at being read in two ways.
fn refuse_tabs(rest: &[u8]) -> Result<(), Rejection> {
    let mut line = rest.iter().take_while(|byte| **byte != b'\r');
    if line.any(|byte| *byte == b'\t') {
        return Err(Rejection::bad_request("tab around the value of a framing field"));
    }
    Ok(())
}

/// The registered transfer codings besides `chunked` (RFC 9112 section 7.2).
const KNOWN_CODINGS: [&[u8]; 5] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"];
