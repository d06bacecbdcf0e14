//! Percent-encoding of request paths (RFC 3986 section 2.1), as WSGI needs it: bytes, never text.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

/// The decoded bytes of a path. `+` stays a plus sign: this is a path, not a form.
pub fn decode(path: &str) -> Cow<'_, [u8]> {
    // Most paths have nothing to decode, and this sees so at a glance.
    if memchr::memchr(b'%', path.as_bytes()).is_none() {
        return Cow::Borrowed(path.as_bytes());
    }
    percent_decode_str(path).into()
}

/// A path as it may stand in a request target: everything outside of RFC 3986's `pchar` and `/` is encoded.
pub fn encode(path: &[u8]) -> Cow<'_, str> {
    percent_encode(path, NOT_IN_PATH).into()
}

/// A query as it may stand in a request target; escapes that it has already stay as they are.
pub fn encode_query(query: &[u8]) -> Cow<'_, str> {
    percent_encode(query, NOT_IN_QUERY).into()
}

const NOT_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

const NOT_IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_undoes_decoding_for_any_bytes() {
        let bytes: Vec<u8> = (0..=255).collect();

        assert_eq!(&*decode(&encode(&bytes)), &bytes[..]);
    }

    #[test]
    fn a_plus_sign_stays_one() {
        assert_eq!(&*decode("/a+b%20c"), b"/a+b c");
    }
}
