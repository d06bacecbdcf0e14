//! Response heads: status line, fields, and what they say about the body and the connection.
//!
//! - A status that has no body gets no body and no Content-Length, except that of 304 and HEAD, which describe
//!   what is not sent (RFC 9110 sections 6.4.1 and 8.6), and the zero of 205.
//! - A body of unknown length goes in chunks; to HTTP/1.0, until the connection is closed.
//! - What belongs to one connection (Connection, Transfer-Encoding ...) is written by this file alone.
//! - The answer to an HTTP/1.0 request says HTTP/1.1 as well: it is the version of the server (RFC 9110
//!   section 6.2).

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use crate::encoder::BodyEncoder;
use crate::names;
use crate::syntax::{decimal, is_text_byte};

/// What the client waits for before it sends the body it announced with `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// All that a response head is made from.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    /// The status. A 1xx is not the answer: another head must follow.
    pub status: StatusCode,
    /// The reason phrase; `None`: the registered one.
    pub reason: Option<&'a [u8]>,
    /// The application's fields. Those that belong to one connection are left out.
    pub headers: &'a HeaderMap,
    /// What the body knows of its length.
    pub body_length: Option<u64>,
    /// The method that is answered.
    pub request_method: &'a Method,
    /// The version of the request that is answered.
    pub request_version: Version,
    /// Whether the request and the server let the connection go on.
    pub keep_alive: bool,
    /// The time, as an IMF-fixdate (RFC 9110 section 5.6.7), for answers without a Date.
    pub date: &'a [u8; 29],
    /// The name of the server, for answers without a Server; checked where it is configured.
    pub server: Option<&'a str>,
    /// For `101 Switching Protocols`: the protocol that the connection goes over to.
    pub upgrade: Option<&'a HeaderValue>,
}

/// Why a response head was not written: the application's fault, to be answered with 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// The reason phrase holds a control character.
    Reason,
    /// More than one Content-Length, or one that is not a number.
    ContentLength,
}

/// Writes the response head at the end of `out`, which is left alone on an error, and decides how the body is
/// framed and whether the connection can go on.
pub fn encode_head(out: &mut Vec<u8>, head: &ResponseHead<'_>) -> Result<(BodyEncoder, bool), HeadError> {
    check_reason(head.reason)?;
    let start = out.len();
    out.reserve(256);
    write_status_line(out, head.status, head.reason);
    let given = write_fields(out, head.headers);
    let declared = given.declared_length().inspect_err(|_| out.truncate(start))?;
    let plan = Plan::new(head, declared);
    if !head.status.is_informational() {
        if !given.date {
            out.extend_from_slice(b"Date: ");
            out.extend_from_slice(head.date);
            out.extend_from_slice(b"\r\n");
        }
        if let (false, Some(server)) = (given.server, head.server) {
            out.extend_from_slice(b"Server: ");
            out.extend_from_slice(server.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
    plan.write(out);
    if let (StatusCode::SWITCHING_PROTOCOLS, Some(protocol)) = (head.status, head.upgrade) {
        out.extend_from_slice(b"Connection: upgrade\r\nUpgrade: ");
        out.extend_from_slice(protocol.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok((plan.encoder, plan.keep_alive))
}

/// What this file itself says about body and connection.
struct Plan {
    content_length: Option<u64>,
    encoder: BodyEncoder,
    keep_alive: bool,
    connection: &'static [u8],
}

impl Plan {
    fn new(head: &ResponseHead<'_>, declared: Option<u64>) -> Self {
        let old = head.request_version != Version::HTTP_11;
        let (content_length, encoder) = match head.status {
            StatusCode::NO_CONTENT => (None, BodyEncoder::Empty),
            status if status.is_informational() => (None, BodyEncoder::Empty),
            StatusCode::RESET_CONTENT => (Some(0), BodyEncoder::Empty),
            StatusCode::NOT_MODIFIED => (declared, BodyEncoder::Empty),
            // An empty body says nothing here: it is what an application makes of HEAD.
            _ if head.request_method == Method::HEAD => {
                (declared.or(head.body_length.filter(|length| *length > 0)), BodyEncoder::Empty)
            }
            _ => match declared.or(head.body_length) {
                Some(length) => (Some(length), BodyEncoder::Length(length)),
                None if old => (None, BodyEncoder::UntilClose),
                None => (None, BodyEncoder::Chunked),
            },
        };
        // After a 1xx as its answer the client would wait for another one for ever.
        let informational = head.status.is_informational();
        let keep_alive = head.keep_alive && encoder != BodyEncoder::UntilClose && !informational;
        let connection: &[u8] = match (old, keep_alive) {
            _ if informational => b"",
            (false, false) => b"Connection: close\r\n",
            (true, true) => b"Connection: keep-alive\r\n",
            (false, true) | (true, false) => b"",
        };
        Self { content_length, encoder, keep_alive, connection }
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Some(length) = self.content_length {
            out.extend_from_slice(b"Content-Length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if self.encoder == BodyEncoder::Chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        out.extend_from_slice(self.connection);
    }
}

fn check_reason(reason: Option<&[u8]>) -> Result<(), HeadError> {
    let is_text = |reason: &[u8]| reason.iter().copied().all(is_text_byte);
    if reason.is_none_or(is_text) { Ok(()) } else { Err(HeadError::Reason) }
}

fn write_status_line(out: &mut Vec<u8>, status: StatusCode, reason: Option<&[u8]>) {
    if status == StatusCode::OK && reason.is_none_or(|reason| reason == b"OK") {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    let registered = || status.canonical_reason().unwrap_or_default().as_bytes();
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' '); // also before no reason (RFC 9112 section 4)
    out.extend_from_slice(reason.unwrap_or_else(registered));
    out.extend_from_slice(b"\r\n");
}

/// Which of the fields that the house would add were given.
#[derive(Default)]
struct Given<'a> {
    date: bool,
    server: bool,
    content_length: Option<&'a HeaderValue>,
    second_content_length: bool,
}

impl Given<'_> {
    /// The application's Content-Length: one field with one number, or none.
    fn declared_length(&self) -> Result<Option<u64>, HeadError> {
        match self.content_length {
            None => Ok(None),
            Some(_) if self.second_content_length => Err(HeadError::ContentLength),
            Some(value) => decimal(value.as_bytes()).map(Some).ok_or(HeadError::ContentLength),
        }
    }
}

fn write_fields<'a>(out: &mut Vec<u8>, headers: &'a HeaderMap) -> Given<'a> {
    let mut given = Given::default();
    for (name, value) in headers {
        match role(name) {
            Role::Ours => continue,
            Role::ContentLength => {
                given.second_content_length |= given.content_length.replace(value).is_some();
                continue;
            }
            Role::Date => given.date = true,
            Role::Server => given.server = true,
            Role::Plain => {}
        }
        write_field(out, name, value);
    }
    given
}

fn write_field(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    names::write_registered(out, name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What a field is to this file.
enum Role {
    /// Written by [`Plan`] alone, or never (RFC 9110 section 7.6.1): the application cannot speak for the connection.
    Ours,
    /// [`Plan`] writes it too, and has to know what the application said.
    ContentLength,
    Date,
    Server,
    Plain,
}

/// Whether the application can't speak of it.
pub(crate) fn belongs_to_connection(name: &HeaderName) -> bool {
    matches!(role(name), Role::Ours)
}

fn role(name: &HeaderName) -> Role {
    match name.as_str() {
        "date" => Role::Date,
        "server" => Role::Server,
        "content-length" => Role::ContentLength,
        "te"
        | "trailer"
        | "upgrade"
        | "connection"
        | "keep-alive"
        | "proxy-connection"
        | "transfer-encoding"
        | "proxy-authenticate"
        | "proxy-authorization"
        | "proxy-authentication-info" => Role::Ours,
        _ => Role::Plain,
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reason => "the reason phrase holds a control character",
            Self::ContentLength => "Content-Length is not one decimal number",
        })
    }
}

impl std::error::Error for HeadError {}
