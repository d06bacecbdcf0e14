//! The request target and its forms (RFC 9112 section 3.2).
//!
//! Refused in any target: bytes outside `!`..`~`, a fragment, and `\`, `"`, `<`, `>`, `` ` ``, which no URI has
//! raw. Refused in a path as well, because what stands behind would read it in two ways: malformed escapes,
//! `%00`, `%0a`, `%0d` and overlong UTF-8 such as `%c0%ae`. A query is opaque: `%0d%0a` in it is how a form sends
//! a line break (only `%00` is refused). A path in Latin-1 (`%e9`) stays possible.

use http::Method;

use crate::host;
use crate::rejection::Rejection;

/// In which form the target was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `/path?query`
    Origin,
    /// `*`, for `OPTIONS` only.
    Asterisk,
    /// `http://authority/path?query`: where the authority starts and where it ends.
    Absolute { authority: usize, path: usize },
}

/// Judges a target, complete and without the spaces around it.
pub(crate) fn judge(method: &Method, target: &[u8]) -> Result<Form, Rejection> {
    let seen = target.iter().fold(0, |seen, byte| seen | CLASSES[usize::from(*byte)]);
    if seen & FORBIDDEN != 0 {
        return Err(Rejection::bad_request("forbidden character in the request target"));
    }
    let form = form(method, target)?;
    if seen & PERCENT != 0 {
        let path = match form {
            Form::Origin | Form::Asterisk => target,
            Form::Absolute { path, .. } => &target[path..],
        };
        check_escapes(path)?;
    }
    Ok(form)
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

fn check_escapes(path_and_query: &[u8]) -> Result<(), Rejection> {
    let end = memchr::memchr(b'?', path_and_query).unwrap_or(path_and_query.len());
    let (path, query) = path_and_query.split_at(end);
    if query.windows(3).any(|escape| escape == b"%00") {
        return Err(Rejection::bad_request("NUL in the query"));
    }
    let mut lead = None; // the octet of the escape that ended just before
    let mut position = 0;
    while position < path.len() {
        if path[position] != b'%' {
            lead = None;
            position += 1;
            continue;
        }
        let octet = path
            .get(position + 1..position + 3)
            .and_then(octet)
            .ok_or(Rejection::bad_request("malformed percent-escape in the path"))?;
        if matches!(octet, 0 | b'\n' | b'\r') {
            return Err(Rejection::bad_request("escaped NUL or line end in the path"));
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

fn octet(hex: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(hex[0])? << 4 | digit(hex[1])?)
}

const SCHEMES: [&[u8]; 2] = [b"http://", b"https://"];

const FORBIDDEN: u8 = 1;
const PERCENT: u8 = 2;

static CLASSES: [u8; 256] = {
    let mut classes = [FORBIDDEN; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        classes[byte as usize] = match byte {
            b'#' | b'\\' | b'"' | b'<' | b'>' | b'`' => FORBIDDEN,
            b'%' => PERCENT,
            _ => 0,
        };
        byte += 1;
    }
    classes
};
