//! The request target and its forms (RFC 9112 section 3.2).
//!
//! - Rejected anywhere: control characters, spaces and `#`. The first two end the target for some reader; a fragment
//!   is never sent (RFC 9110 section 7.1), and readers disagree on where it belongs.
//! - A path is strict, because applications decode it: no other character that RFC 3986 excludes from a URI, no
//!   malformed escape, no `%00`, and no overlong UTF-8 such as `%c0%ae`. A path in Latin-1 (`%e9`) is accepted, and so
//!   are `%0a` and `%0d`.
//! - A query is opaque: every other byte is accepted and handed on as sent. Browsers leave `\`, `` ` ``, `^`, `{`, `|`
//!   and `}` unescaped (WHATWG URL), and `curl -g` everything that it is given.

use bytes::Bytes;
use http::{Method, StatusCode, Uri};

use crate::host;
use crate::rejection::Rejection;

/// The form in which the target was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `/path?query`
    Origin,
    /// `*`, for `OPTIONS` only.
    Asterisk,
    /// `http://authority/path?query`: where the authority starts and where it ends.
    Absolute { authority: usize, path: usize },
}

/// What a valid target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) form: Form,
    /// Whether its query has bytes that [`Uri`] cannot hold.
    pub(crate) is_beyond_uri: bool,
}

/// Checks a complete target, without the spaces around it.
pub(crate) fn judge(method: &Method, target: &[u8]) -> Result<Judged, Rejection> {
    let seen = target.iter().fold(0, |seen, byte| seen | CLASSES[usize::from(*byte)]);
    if seen & FORBIDDEN != 0 {
        return Err(FORBIDDEN_CHARACTER);
    }
    let form = form(method, target)?;
    if seen & (PERCENT | QUERY_ONLY) != 0 {
        let path = match form {
            Form::Origin | Form::Asterisk => target,
            Form::Absolute { path, .. } => &target[path..],
        };
        check_path(&path[..memchr::memchr(b'?', path).unwrap_or(path.len())])?;
    }
    Ok(Judged { form, is_beyond_uri: seen & BEYOND_URI != 0 })
}

fn form(method: &Method, target: &[u8]) -> Result<Form, Rejection> {
    match target {
        [b'/', ..] => return Ok(Form::Origin),
        b"*" if method == Method::OPTIONS => return Ok(Form::Asterisk),
        _ => {}
    }
    let authority = SCHEMES
        .iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        .ok_or(Rejection::bad_request("the request target is neither a path nor an http URI"))?
        .len();
    let path = memchr::memchr2(b'/', b'?', &target[authority..]).map_or(target.len(), |end| authority + end);
    host::check(&target[authority..path])?;
    Ok(Form::Absolute { authority, path })
}

fn check_path(path: &[u8]) -> Result<(), Rejection> {
    let mut lead = None; // the octet of the escape that ended just before
    let mut position = 0;
    while position < path.len() {
        let class = CLASSES[usize::from(path[position])];
        if class & QUERY_ONLY != 0 {
            return Err(FORBIDDEN_CHARACTER);
        }
        if class & PERCENT == 0 {
            lead = None;
            position += 1;
            continue;
        }
        let octet = path
            .get(position + 1..position + 3)
            .and_then(octet)
            .ok_or(Rejection::bad_request("malformed percent-escape in the path"))?;
        if octet == 0 {
            return Err(Rejection::bad_request("escaped NUL in the path"));
        }
        if matches!(
            (lead, octet),
            (Some(0xc0 | 0xc1), 0x80..=0xbf) | (Some(0xe0), 0x80..=0x9f) | (Some(0xf0), 0x80..=0x8f)
        ) {
            return Err(Rejection::bad_request("overlong UTF-8 in the path"));
        }
        lead = Some(octet);
        position += 3;
    }
    Ok(())
}

/// The octet that two hexadecimal digits stand for.
pub(crate) fn octet(hex: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(hex[0])? << 4 | digit(hex[1])?)
}

/// The path and query of a target as a URI, in which bytes of the query that a URI cannot hold are percent-encoded.
#[inline]
pub(crate) fn uri(target: &Bytes, judged: Judged) -> Result<Uri, Rejection> {
    if target == "/" {
        return Ok(Uri::default()); // the same, without a share in the head's bytes
    }
    let path_and_query = match judged.form {
        Form::Origin | Form::Asterisk => target.clone(),
        Form::Absolute { path, .. } => match target.get(path) {
            Some(b'/') => target.slice(path..),
            Some(_) => [b"/", &target[path..]].concat().into(), // `http://host?query`
            None => Bytes::from_static(b"/"),
        },
    };
    let path_and_query = if judged.is_beyond_uri { encoded(&path_and_query) } else { path_and_query };
    if path_and_query.len() > LONGEST_URI {
        return Err(Rejection::new(StatusCode::URI_TOO_LONG, "the request target is too long"));
    }
    Uri::from_maybe_shared(path_and_query).map_err(|_| Rejection::bad_request("malformed request target"))
}

#[cold]
fn encoded(query: &[u8]) -> Bytes {
    let mut encoded = Vec::with_capacity(query.len() + 32);
    for byte in query {
        if CLASSES[usize::from(*byte)] & BEYOND_URI == 0 {
            encoded.push(*byte);
        } else {
            let digit = |half: u8| b"0123456789ABCDEF"[usize::from(half)];
            encoded.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
    encoded.into()
}

const SCHEMES: [&[u8]; 2] = [b"http://", b"https://"];

/// The longest path and query that [`Uri`] takes.
const LONGEST_URI: usize = u16::MAX as usize - 1;

const FORBIDDEN_CHARACTER: Rejection = Rejection::bad_request("forbidden character in the request target");

const FORBIDDEN: u8 = 1;
const PERCENT: u8 = 2;
const QUERY_ONLY: u8 = 4;
const BEYOND_URI: u8 = 8;

static CLASSES: [u8; 256] = {
    let mut classes = [FORBIDDEN; 256];
    let mut byte = b'!';
    while byte < u8::MAX {
        classes[byte as usize] = match byte {
            b'#' | 0x7f => FORBIDDEN,
            b'%' => PERCENT,
            b'\\' | b'`' => QUERY_ONLY,
            b'"' | b'<' | b'>' | 0x80.. => QUERY_ONLY | BEYOND_URI,
            _ => 0,
        };
        byte += 1;
    }
    classes[u8::MAX as usize] = QUERY_ONLY | BEYOND_URI;
    classes
};
