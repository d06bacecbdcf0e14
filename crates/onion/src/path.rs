//! Percent-encoding of request paths (RFC 3986 section 2.1), as WSGI needs it: bytes, never text.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};

/// The decoded bytes of a path. `+` stays a plus sign: this is a path, not a form.
pub fn decode<T: AsRef<[u8]> + ?Sized>(path: &T) -> Cow<'_, [u8]> {
    let path = path.as_ref();
    // Most paths have nothing to decode, and this sees so at a glance.
    if memchr::memchr(b'%', path).is_none() {
        return Cow::Borrowed(path);
    }
    percent_decode(path).into()
}

/// A path as it may stand in a request target: everything outside of RFC 3986's `pchar` and `/` is encoded.
pub fn encode(path: &[u8]) -> Cow<'_, str> {
    percent_encode(path, NOT_IN_PATH).into()
}

/// A query as it may stand in a request target; escapes that it has already stay as they are.
pub fn encode_query(query: &[u8]) -> Cow<'_, str> {
    percent_encode(query, NOT_IN_QUERY).into()
}

/// The path below the mount point as the client spelled it: the part of the request target `target` that decodes to
/// `path_info`, after one that decodes to `script_name`.
///
/// Returns `None` if the target decodes to another path, because something in between has changed one of them, and if
/// it has bytes that do not belong into a path (RFC 3986 section 3.3). A target without `script_name` fits too: some
/// servers and middlewares set `SCRIPT_NAME` to what a proxy in front has removed.
pub fn below<'t>(target: &'t [u8], script_name: &[u8], path_info: &[u8]) -> Option<&'t str> {
    let path = path_of(target)?;
    let below = [script_name, b""].into_iter().find_map(|script_name| {
        let below = after(path, script_name)?;
        after(below, path_info).is_some_and(<[u8]>::is_empty).then_some(below)
    })?;
    // An encoded slash after the mount point is no path of its own.
    (below.is_empty() || below.starts_with(b"/")).then_some(())?;
    std::str::from_utf8(below).ok()
}

/// The path of a request target in origin form or in absolute form.
fn path_of(target: &[u8]) -> Option<&[u8]> {
    let end = target.iter().position(|byte| b"?#".contains(byte)).unwrap_or(target.len());
    let target = &target[..end];
    if target.starts_with(b"/") {
        return Some(target);
    }
    let authority = memchr::memmem::find(target, b"://")? + 3;
    let path = memchr::memchr(b'/', &target[authority..])?;
    Some(&target[authority + path..])
}

/// What follows in `path` after the part that decodes to `decoded`.
fn after<'p>(mut path: &'p [u8], decoded: &[u8]) -> Option<&'p [u8]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for expected in decoded {
        let (found, rest) = match path {
            [b'%', high, low, rest @ ..] => (digit(*high)? << 4 | digit(*low)?, rest),
            [byte, rest @ ..] if is_in_path(*byte) => (*byte, rest),
            _ => return None,
        };
        if found != *expected {
            return None;
        }
        path = rest;
    }
    Some(path)
}

/// Whether a byte may stand in a path as it is.
fn is_in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte)
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

        assert_eq!(&*decode(encode(&bytes).as_bytes()), &bytes[..]);
    }

    #[test]
    fn a_plus_sign_stays_one() {
        assert_eq!(&*decode("/a+b%20c"), b"/a+b c");
    }

    #[test]
    fn the_path_below_a_mount_point_is_spelled_as_it_came() {
        for (target, script_name, path_info, expected) in [
            ("/a%2Fb?x=%2F", "", "/a/b", "/a%2Fb"),
            ("/shop/a%2fb#x", "/shop", "/a/b", "/a%2fb"),
            ("/%73hop/%7E~%41", "/shop", "/~~A", "/%7E~%41"),
            ("/a%2Fb", "/shop", "/a/b", "/a%2Fb"),
            ("http://h:1/a%2Fb", "", "/a/b", "/a%2Fb"),
            ("/shop", "/shop", "", ""),
            ("/caf%C3%A9/%2F", "/café", "//", "/%2F"),
        ] {
            let below = below(target.as_bytes(), script_name.as_bytes(), path_info.as_bytes());
            assert_eq!(below, Some(expected), "{target}");
        }
    }

    #[test]
    fn a_target_of_another_path_is_not_believed() {
        for (target, script_name, path_info) in [
            ("/a%2Fb", "", "/a/c"),
            ("/a%2Fb", "", "/a/b/c"),
            ("/a%2Fb/c", "", "/a/b"),
            ("/files%2Freport", "/files", "/report"),
            ("//a", "", "/a"),
            ("/a/../b", "", "/b"),
            ("/a|b", "", "/a|b"),
            ("/a%2", "", "/a%2"),
            ("/a%zz", "", "/a%zz"),
            ("/caf\u{e9}", "", "/caf\u{e9}"),
            ("*", "", "*"),
            ("", "", ""),
            ("h:80", "", "/"),
            ("http://h", "", "/"),
        ] {
            let below = below(target.as_bytes(), script_name.as_bytes(), path_info.as_bytes());
            assert_eq!(below, None, "{target}");
        }
    }
}
