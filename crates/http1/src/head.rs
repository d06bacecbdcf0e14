//! Request heads off the front of a buffer: the way of a request's first bytes.
//!
//! 1. A head that is complete at the first look, nearly every one, goes through `httparse` once ([`read`]).
//! 2. Anything else, incomplete or refused, goes through [`Scan`], line by line, which keeps its place between
//!    two calls, and is read once it is complete.
//! 3. The head's bytes are split off the buffer and shared by target and header values ([`build`]).

use std::mem::MaybeUninit;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use smallvec::SmallVec;

use crate::body::Framing;
use crate::fields::{Conclusion, Facts};
use crate::rejection::Rejection;
use crate::request_line;
use crate::scan::{self, Scan};
use crate::target::Form;

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
    /// The method: an upper-case letter, then token characters.
    pub method: Method,
    /// Path and query only, also of a target in absolute form, whose host was compared with Host; `*` for `OPTIONS *`.
    pub uri: Uri,
    /// The raw request target, as sent.
    pub target: Bytes,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The fields, without those with `_` in their names, which CGI cannot tell from their namesakes with `-`.
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
        let Some(outline) = read(&buffer[..end], &self.limits, &mut fields)? else {
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
    form: Form,
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
    let (method, form) = request_line::judge(method.as_bytes(), target.as_bytes())?;
    let version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };

    // httparse takes a bare LF for a line end: here each line, and the last one twice, must end with CRLF.
    let line_end = end - 4; // of the last line: a head has at least "\r\n\r\n"
    if &buffer[line_end..end] != b"\r\n\r\n" {
        return Err(scan::BARE_LF);
    }
    let facts = read_fields(buffer, request.headers, fields)?;
    let authority = match form {
        Form::Absolute { authority, path } => Some(&target.as_bytes()[authority..path]),
        Form::Origin | Form::Asterisk => None,
    };
    let conclusion = facts.conclude(version, authority)?;
    Ok(Some(Outline { method, form, target: target_place, version, conclusion, end }))
}

/// Notes where the fields stand and what they say of the framing.
#[inline]
fn read_fields<'a>(
    buffer: &[u8],
    headers: &[httparse::Header<'a>],
    fields: &mut Fields,
) -> Result<Facts<'a>, Rejection> {
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
    let uri = uri(&target, outline.form)?;
    headers.reserve(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(&head[field.name.clone()]).map_err(|_| BAD_NAME)?;
        let value = HeaderValue::from_maybe_shared(head.slice(field.value.clone())).map_err(|_| BAD_VALUE)?;
        headers.append(name, value);
    }
    let Conclusion { framing, keep_alive, expect_continue } = outline.conclusion;
    let (method, version) = (outline.method, outline.version);
    Ok(RequestHead { method, uri, target, version, headers, framing, keep_alive, expect_continue })
}

/// The path and query of a target.
fn uri(target: &Bytes, form: Form) -> Result<Uri, Rejection> {
    if target == "/" {
        return Ok(Uri::default()); // the same, without a share in the head's bytes
    }
    let path_and_query = match form {
        Form::Origin | Form::Asterisk => target.clone(),
        Form::Absolute { path, .. } => match target.get(path) {
            Some(b'/') => target.slice(path..),
            Some(_) => [b"/", &target[path..]].concat().into(), // `http://host?query`
            None => Bytes::from_static(b"/"),
        },
    };
    Uri::from_maybe_shared(path_and_query).map_err(|_| Rejection::bad_request("malformed request target"))
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
