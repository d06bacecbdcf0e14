//! Request heads off the front of a buffer: the way of a request's first bytes.
//!
//! 1. A head that is complete at the first look, nearly every one, goes through `httparse` once ([`read`]).
//! 2. Anything else, incomplete or refused, goes through [`Scan`], line by line, which keeps its place between
//!    two calls, and is read once it is complete: as [`common_form`] has it, if `httparse` would not take it as it is.
//! 3. The head's bytes are split off the buffer and shared by target and header values ([`build`]).

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use smallvec::SmallVec;

use crate::body::Framing;
use crate::fields::{Conclusion, Facts};
use crate::rejection::Rejection;
use crate::request_line;
use crate::scan::{self, Scan};
use crate::target::{self, Form, Judged};

/// What a request head may cost before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the request line without its CRLF; beyond it is 414.
    pub request_line: usize,
    /// Bytes of the request line and all header lines, with all line ends; beyond it is 431.
    pub head: usize,
    /// Header fields; beyond it is 431. More than [`MAX_FIELDS`] is read as [`MAX_FIELDS`].
    pub headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { request_line: 8190, head: 65_536, headers: 100 }
    }
}

/// The number of header fields that no limit can raise.
pub const MAX_FIELDS: usize = 256;

/// One request head, checked.
#[derive(Debug)]
pub struct RequestHead {
    /// The method: any token but `CONNECT`.
    pub method: Method,
    /// Path and query only, also of a target in absolute form; `*` for `OPTIONS *`. Visible ASCII.
    pub uri: Uri,
    /// Whether the query has bytes that a URI cannot hold. They are percent-encoded in `uri`; the query as sent is what
    /// follows the first `?` of `target`.
    pub query_is_encoded: bool,
    /// The raw request target, as sent.
    pub target: Bytes,
    /// HTTP/1.0, or HTTP/1.1 for every other minor version.
    pub version: Version,
    /// The fields, without those with `_` in their names, which CGI cannot tell from their namesakes with `-`. Host is
    /// that of the target if the target is in absolute form.
    pub headers: HeaderMap,
    /// How the body is framed.
    pub framing: Framing,
    /// Whether the client lets the connection go on, by version and Connection (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// Whether the client waits for [`CONTINUE`](crate::CONTINUE) before it sends the body.
    pub expect_continue: bool,
}

/// Takes request heads off the front of a buffer.
#[derive(Debug, Default)]
pub struct HeadParser {
    limits: Limits,
    scan: Scan,
    rejected: Option<Rejection>,
}

impl HeadParser {
    /// A parser for one connection.
    pub fn new(limits: Limits) -> Self {
        Self { limits: Limits { headers: limits.headers.min(MAX_FIELDS), ..limits }, ..Self::default() }
    }

    /// Takes one request head off the front of `buffer`. `Ok(None)`: it is not complete yet, call again when the
    /// buffer has grown. After a rejection every further call gives the same.
    pub fn parse(&mut self, buffer: &mut BytesMut) -> Result<Option<RequestHead>, Rejection> {
        self.parse_into(buffer, HeaderMap::new)
    }

    /// The same, with the fields in the empty map that `headers` gives: one that was used before has its memory
    /// already.
    pub fn parse_into(
        &mut self,
        buffer: &mut BytesMut,
        headers: impl FnOnce() -> HeaderMap,
    ) -> Result<Option<RequestHead>, Rejection> {
        if let Some(rejection) = self.rejected {
            return Err(rejection);
        }
        let outcome = self.take(buffer, headers);
        self.rejected = outcome.as_ref().err().copied();
        outcome
    }

    #[inline]
    fn take(
        &mut self,
        buffer: &mut BytesMut,
        headers: impl FnOnce() -> HeaderMap,
    ) -> Result<Option<RequestHead>, Rejection> {
        if buffer.is_empty() {
            return Ok(None);
        }
        let mut fields = Fields::new();
        if self.scan.is_fresh()
            && let Ok(Some(outline)) = read(buffer, &self.limits, &mut fields)
        {
            return build(buffer, outline, &fields, headers()).map(Some);
        }
        let Some(end) = self.scan.advance(buffer, &self.limits)? else { return Ok(None) };
        let Some(outline) = read(&common_form(&buffer[..end]), &self.limits, &mut fields)? else {
            return Err(Rejection::bad_request("malformed head"));
        };
        self.scan = Scan::default();
        build(buffer, outline, &fields, headers()).map(Some)
    }
}

/// Where the fields of a head stand. On the stack, as far as most requests need it.
type Fields = SmallVec<[Field; 32]>;

/// Where one field stands in the head.
#[derive(Debug)]
struct Field {
    name: Range<usize>,
    value: Range<usize>,
}

/// Everything about a head except its bytes.
#[derive(Debug)]
struct Outline {
    method: Method,
    judged: Judged,
    target: Range<usize>,
    version: Version,
    conclusion: Conclusion,
    end: usize,
}

/// Reads a head, without taking it. `None`: not complete, or not within the limits.
fn read(buffer: &[u8], limits: &Limits, fields: &mut Fields) -> Result<Option<Outline>, Rejection> {
    let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(buffer, &mut slots[..limits.headers]);
    let end = match parsed.map_err(syntax_rejection)? {
        httparse::Status::Complete(end) => end,
        httparse::Status::Partial => return Ok(None),
    };
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Ok(None);
    };
    let target_place = place(buffer, target.as_bytes());
    let line_length = target_place.end + " HTTP/1.x".len();
    if place(buffer, method.as_bytes()).start != 0 || line_length > limits.request_line || end > limits.head {
        return Ok(None);
    }
    let (method, judged) = request_line::judge(method.as_bytes(), target.as_bytes())?;
    let version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };

    // httparse takes a bare LF for a line end: here each line, and the last one twice, must end with CRLF.
    let line_end = end - 4; // of the last line: a head has at least "\r\n\r\n"
    if &buffer[line_end..end] != b"\r\n\r\n" {
        return Err(scan::BARE_LF);
    }
    let facts = read_fields(buffer, request.headers, fields)?;
    if matches!(judged.form, Form::Absolute { .. }) {
        fields.retain(|field| !buffer[field.name.clone()].eq_ignore_ascii_case(b"host"));
    }
    let conclusion = facts.conclude(version)?;
    Ok(Some(Outline { method, judged, target: target_place, version, conclusion, end }))
}

/// A complete head whose request line was checked, with what `httparse` would not take in it replaced byte for byte: a
/// minor version above 1 by 1, bytes of the query that are not ASCII by `"`. Everything keeps its place.
fn common_form(head: &[u8]) -> Cow<'_, [u8]> {
    let line_end = memchr::memchr(b'\r', head).unwrap_or(head.len());
    let version_is_common = matches!(head[..line_end].last(), Some(b'0' | b'1'));
    if version_is_common && head[..line_end].is_ascii() {
        return Cow::Borrowed(head);
    }
    let mut head = head.to_vec();
    for byte in head[..line_end].iter_mut().filter(|byte| !byte.is_ascii()) {
        *byte = b'"';
    }
    if let (false, Some(minor)) = (version_is_common, head[..line_end].last_mut()) {
        *minor = b'1';
    }
    Cow::Owned(head)
}

/// Notes where the fields stand and what they say of the framing.
#[inline]
fn read_fields(
    buffer: &[u8],
    headers: &[httparse::Header<'_>],
    fields: &mut Fields,
) -> Result<Facts, Rejection> {
    let mut facts = Facts::default();
    fields.clear();
    for header in headers {
        let name = header.name.as_bytes();
        let field = Field { name: place(buffer, name), value: place(buffer, header.value) };
        if buffer[field.name.start - 2] != b'\r' {
            return Err(scan::BARE_LF); // the line before
        }
        facts.observe(name, header.value, &buffer[field.name.end + 1..])?;
        // Never handed on: in CGI's spelling `X_Real_IP` could not be told from `X-Real-IP`.
        if !name.contains(&b'_') {
            fields.push(field);
        }
    }
    Ok(facts)
}

/// Where a part of the buffer, as httparse gives it, stands in it.
#[inline]
fn place(buffer: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - buffer.as_ptr().addr();
    start..start + part.len()
}

/// Takes the head off the buffer and shares its bytes out.
#[inline]
fn build(
    buffer: &mut BytesMut,
    outline: Outline,
    fields: &[Field],
    mut headers: HeaderMap,
) -> Result<RequestHead, Rejection> {
    let head = buffer.split_to(outline.end).freeze();
    let target = head.slice(outline.target);
    let uri = target::uri(&target, outline.judged)?;
    // The host of an absolute target stands in for Host (RFC 9112 section 3.2.2).
    let mut host = match outline.judged.form {
        Form::Absolute { authority, path } => Some(target.slice(authority..path)),
        Form::Origin | Form::Asterisk => None,
    };
    headers.reserve(fields.len() + usize::from(host.is_some()));
    let mut fields = fields.iter();
    // Appended in one place: so the compiler has it inline.
    loop {
        let (name, value) = match fields.next() {
            Some(field) => {
                let name = HeaderName::from_bytes(&head[field.name.clone()]).map_err(|_| BAD_NAME)?;
                (name, head.slice(field.value.clone()))
            }
            None => match host.take() {
                Some(host) => (HOST, host),
                None => break,
            },
        };
        headers.append(name, HeaderValue::from_maybe_shared(value).map_err(|_| BAD_VALUE)?);
    }
    let Conclusion { framing, keep_alive, expect_continue } = outline.conclusion;
    Ok(RequestHead {
        method: outline.method,
        uri,
        query_is_encoded: outline.judged.is_beyond_uri,
        target,
        version: outline.version,
        headers,
        framing,
        keep_alive,
        expect_continue,
    })
}

fn syntax_rejection(error: httparse::Error) -> Rejection {
    match error {
        httparse::Error::HeaderName => BAD_NAME,
        httparse::Error::HeaderValue => BAD_VALUE,
        httparse::Error::TooManyHeaders => scan::TOO_MANY_FIELDS,
        httparse::Error::NewLine => Rejection::bad_request("malformed line end"),
        httparse::Error::Token | httparse::Error::Version | httparse::Error::Status => {
            Rejection::bad_request("malformed request line")
        }
    }
}

const BAD_NAME: Rejection = Rejection::bad_request("malformed header name");
const BAD_VALUE: Rejection = Rejection::bad_request("malformed header value");
