//! Decodes documents to UTF-8, with the labels and the byte order marks of the WHATWG Encoding standard.
//!
//! A byte order mark wins over the charset of `Content-Type`, which wins over what the document declares itself: a
//! `<meta>` in HTML, the XML declaration in XML (HTML, "determining the character encoding"; RFC 7303 section 3).
//! Labels that the standard does not list are ignored.

use bytes::Bytes;
use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};
use onion::OptionError;

/// A document that a parser can read.
#[derive(Debug, PartialEq)]
pub(super) struct Decoded {
    /// The bytes, without a byte order mark if they are UTF-8.
    pub(super) bytes: Bytes,
    /// Whether they are UTF-8, whatever the document declares. If not, the XML parser has to find the encoding: it
    /// knows some that the standard does not list.
    pub(super) is_utf8: bool,
}

/// The encoding that documents without a declaration have.
#[derive(Clone, Copy, Default)]
pub(super) struct DefaultCharset(Option<&'static Encoding>);

impl DefaultCharset {
    pub(super) fn new(label: Option<&str>) -> Result<Self, OptionError> {
        let Some(label) = label else { return Ok(DefaultCharset(None)) };
        let encoding = Encoding::for_label_no_replacement(label.as_bytes());
        encoding.map(|encoding| DefaultCharset(Some(encoding))).ok_or_else(|| {
            OptionError(format!("default_charset: {label:?} is not a known charset; expected \"utf-8\""))
        })
    }
}

/// Decodes HTML. Bytes that are invalid in the encoding become U+FFFD, as in browsers.
pub(super) fn html(bytes: &Bytes, label: Option<&str>, default: DefaultCharset) -> Result<Decoded, String> {
    if let Some((encoding, length)) = Encoding::for_bom(bytes) {
        return forgiving(encoding, &bytes.slice(length..));
    }
    let encoding = label.and_then(of_label).or_else(|| prescan(bytes)).or(default.0).unwrap_or_else(|| {
        // As browsers guess: what is valid UTF-8 by chance is rare.
        if str::from_utf8(bytes).is_ok() { UTF_8 } else { WINDOWS_1252 }
    });
    forgiving(encoding, bytes)
}

/// Decodes XML. Bytes that are invalid in the encoding are an error (XML 1.0 section 4.3.3).
pub(super) fn xml(bytes: &Bytes, label: Option<&str>, default: DefaultCharset) -> Result<Decoded, String> {
    // UTF-32 is not in the Encoding standard, and begins like UTF-16; the parser knows it.
    if is_utf32(bytes) {
        return Ok(Decoded { bytes: bytes.clone(), is_utf8: false });
    }
    if let Some((encoding, length)) = Encoding::for_bom(bytes) {
        return strict(encoding, &bytes.slice(length..));
    }
    if let Some(encoding) = label.and_then(of_label) {
        return strict(encoding, bytes);
    }
    if let Some(encoding) = utf16_without_mark(bytes) {
        return strict(encoding, bytes);
    }
    match declared(bytes).map(of_label) {
        // A declaration that can be read in ASCII is not in UTF-16, whatever it says.
        Some(Some(encoding)) if [UTF_16BE, UTF_16LE].contains(&encoding) => strict(UTF_8, bytes),
        Some(Some(encoding)) => strict(encoding, bytes),
        Some(None) => Ok(Decoded { bytes: bytes.clone(), is_utf8: false }),
        None => strict(default.0.unwrap_or(UTF_8), bytes),
    }
}

/// Whether the bytes are UTF-16 or UTF-32, in which ASCII is not to be found.
pub(super) fn is_wide(bytes: &[u8]) -> bool {
    let marked = Encoding::for_bom(bytes).is_some_and(|(encoding, _)| encoding != UTF_8);
    marked || utf16_without_mark(bytes).is_some()
}

fn of_label(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label(label.as_bytes())
}

fn forgiving(encoding: &'static Encoding, bytes: &Bytes) -> Result<Decoded, String> {
    check(encoding)?;
    if encoding == UTF_8 && str::from_utf8(bytes).is_ok() {
        return Ok(Decoded { bytes: bytes.clone(), is_utf8: true });
    }
    let (text, _) = encoding.decode_without_bom_handling(bytes);
    Ok(Decoded { bytes: text.into_owned().into(), is_utf8: true })
}

fn strict(encoding: &'static Encoding, bytes: &Bytes) -> Result<Decoded, String> {
    check(encoding)?;
    let bytes = if encoding == UTF_8 {
        str::from_utf8(bytes).is_ok().then(|| bytes.clone())
    } else {
        let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
        text.map(|text| text.into_owned().into())
    };
    let invalid = || format!("the document has bytes that are invalid in {}", encoding.name());
    Ok(Decoded { bytes: bytes.ok_or_else(invalid)?, is_utf8: true })
}

/// The standard's "replacement" decodes every document to one U+FFFD.
fn check(encoding: &'static Encoding) -> Result<(), String> {
    if encoding == REPLACEMENT {
        return Err("the document is in an encoding that the Encoding standard forbids to decode".to_owned());
    }
    Ok(())
}

fn is_utf32(bytes: &[u8]) -> bool {
    let beginnings: [&[u8]; 4] = [b"\xff\xfe\0\0", b"\0\0\xfe\xff", b"<\0\0\0", b"\0\0\0<"];
    beginnings.iter().any(|beginning| bytes.starts_with(beginning))
}

fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [b'<', 0, second, 0, ..] if *second != 0 => Some(UTF_16LE),
        [0, b'<', 0, second, ..] if *second != 0 => Some(UTF_16BE),
        _ => None,
    }
}

/// The `encoding` of an XML declaration.
fn declared(bytes: &[u8]) -> Option<&str> {
    let declaration = bytes.strip_prefix(b"<?xml")?;
    let end = memchr::memmem::find(declaration, b"?>")?;
    let declaration = str::from_utf8(&declaration[..end]).ok()?;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    Some(value[1..].split_once(quote)?.0)
}

/// The encoding that a `<meta>` declares (HTML, "prescan a byte stream to determine its encoding").
fn prescan(bytes: &[u8]) -> Option<&'static Encoding> {
    let mut rest = &bytes[..bytes.len().min(PRESCANNED)];
    loop {
        let start = memchr::memchr(b'<', rest)?;
        rest = &rest[start..];
        if rest.starts_with(b"<!--") {
            // The two dashes of the end may be those of the beginning.
            rest = &rest[2 + memchr::memmem::find(&rest[2..], b"-->")? + 3..];
        } else if is_tag(rest, b"<meta") {
            let (found, behind) = meta(&rest[5..]);
            if let Some(encoding) = found {
                return Some(encoding);
            }
            rest = behind;
        } else if rest.len() > 1 && (rest[1].is_ascii_alphabetic() || is_end_tag(rest)) {
            let name = rest.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'>')?;
            rest = &rest[name..];
            while let (Some(_), behind) = attribute(rest) {
                rest = behind;
            }
        } else if rest.len() > 1 && b"!/?".contains(&rest[1]) {
            rest = &rest[memchr::memchr(b'>', rest)?..];
        } else {
            rest = &rest[1..];
        }
    }
}

fn is_tag(rest: &[u8], tag: &[u8]) -> bool {
    rest.get(..tag.len()).is_some_and(|name| name.eq_ignore_ascii_case(tag))
        && rest.get(tag.len()).is_some_and(|byte| byte.is_ascii_whitespace() || *byte == b'/')
}

fn is_end_tag(rest: &[u8]) -> bool {
    rest[1] == b'/' && rest.get(2).is_some_and(u8::is_ascii_alphabetic)
}

/// What the attributes of a `<meta>` declare, and what follows them.
fn meta(mut rest: &[u8]) -> (Option<&'static Encoding>, &[u8]) {
    let (mut is_content_type, mut of_charset, mut of_content) = (false, None, None);
    while let (Some((name, value)), behind) = attribute(rest) {
        rest = behind;
        match &*name {
            b"http-equiv" => is_content_type |= value == b"content-type",
            b"charset" if of_charset.is_none() => of_charset = Some(Encoding::for_label(&value)),
            b"content" if of_content.is_none() => of_content = charset_within(&value),
            _ => {}
        }
    }
    let found = match of_charset {
        Some(encoding) => encoding,
        None if is_content_type => of_content,
        None => None,
    };
    let found = found.map(|encoding| match encoding {
        // A declaration that can be read in ASCII is not in UTF-16.
        _ if [UTF_16BE, UTF_16LE].contains(&encoding) => UTF_8,
        _ if encoding == X_USER_DEFINED => WINDOWS_1252,
        other => other,
    });
    (found, rest)
}

/// The encoding in a `content` such as `text/html; charset=latin1`.
fn charset_within(content: &[u8]) -> Option<&'static Encoding> {
    let mut rest = content;
    loop {
        rest = &rest[memchr::memmem::find(rest, b"charset")? + b"charset".len()..];
        let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") else { continue };
        let value = value.trim_ascii_start();
        let label = if let quote @ (b'"' | b'\'') = value.first()? {
            &value[1..=memchr::memchr(*quote, &value[1..])?]
        } else {
            let end = value.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b';');
            &value[..end.unwrap_or(value.len())]
        };
        return Encoding::for_label(label);
    }
}

type Attribute = (Vec<u8>, Vec<u8>);

/// The next attribute of a tag, in lower case, and what follows it; `None` at the end of the tag.
fn attribute(mut rest: &[u8]) -> (Option<Attribute>, &[u8]) {
    while let [byte, behind @ ..] = rest
        && (byte.is_ascii_whitespace() || *byte == b'/')
    {
        rest = behind;
    }
    if rest.first().is_none_or(|byte| *byte == b'>') {
        return (None, rest);
    }
    let is_end = |(place, byte): (usize, &u8)| {
        byte.is_ascii_whitespace() || b"/>".contains(byte) || (*byte == b'=' && place > 0)
    };
    let end = rest.iter().enumerate().position(|(place, byte)| is_end((place, byte))).unwrap_or(rest.len());
    let name = rest[..end].to_ascii_lowercase();
    rest = &rest[end..];
    let Some(value) = rest.trim_ascii_start().strip_prefix(b"=") else {
        return (Some((name, Vec::new())), rest);
    };
    let value = value.trim_ascii_start();
    let (value, behind) = if let Some(quote @ (b'"' | b'\'')) = value.first() {
        let Some(end) = memchr::memchr(*quote, &value[1..]) else {
            return (None, &[]); // The rest of the tag is beyond what is looked at.
        };
        (&value[1..=end], &value[end + 2..])
    } else {
        let end = value.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'>');
        value.split_at(end.unwrap_or(value.len()))
    };
    (Some((name, value.to_ascii_lowercase())), behind)
}

/// How many bytes may come before a `<meta>` that counts.
const PRESCANNED: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(result: Result<Decoded, String>) -> String {
        let decoded = result.expect("decoded");
        assert!(decoded.is_utf8);
        String::from_utf8(decoded.bytes.to_vec()).expect("UTF-8")
    }

    fn read_html(bytes: &'static [u8], label: Option<&str>) -> String {
        decoded(html(&Bytes::from_static(bytes), label, DefaultCharset::default()))
    }

    fn read_xml(bytes: &'static [u8], label: Option<&str>) -> String {
        decoded(xml(&Bytes::from_static(bytes), label, DefaultCharset::default()))
    }

    #[test]
    fn labels_mean_what_the_standard_says() {
        for label in ["iso-8859-1", "ISO-8859-1 ", "latin1", "us-ascii", "windows-1252"] {
            assert_eq!(read_html(b"\x80\x93\xe9", Some(label)), "\u{20ac}\u{201c}\u{e9}", "{label}");
            assert_eq!(read_xml(b"<a>\x80</a>", Some(label)), "<a>\u{20ac}</a>", "{label}");
        }
        assert_eq!(read_html(b"\x82\xa0", Some("x-sjis")), "\u{3042}");
        assert_eq!(read_html(b"\xa4\xa2", Some("EUC-JP")), "\u{3042}");
        assert_eq!(read_html(b"\xfd", Some("iso-8859-9")), "\u{131}");
    }

    #[test]
    fn an_unknown_label_is_ignored() {
        let page = b"<meta charset=koi8-r>\xc1";
        assert_eq!(read_html(page, Some("nonsense")), "<meta charset=koi8-r>\u{430}");
        let document = b"<?xml version='1.0' encoding='koi8-r'?><a>\xc1</a>";
        assert!(read_xml(document, Some("nonsense")).ends_with("<a>\u{430}</a>"));
    }

    #[test]
    fn a_mark_counts_before_a_label_and_a_label_before_a_declaration() {
        assert_eq!(read_html(b"\xef\xbb\xbf\xc3\xa9", Some("latin1")), "\u{e9}");
        assert_eq!(read_html(b"\xff\xfe\xe9\0", Some("latin1")), "\u{e9}");
        assert!(read_html(b"<meta charset=utf-8>\xe9", Some("latin1")).ends_with('\u{e9}'));
        let document = b"<?xml version='1.0' encoding='utf-8'?><a>\xe9</a>";
        assert!(read_xml(document, Some("latin1")).ends_with("<a>\u{e9}</a>"));
    }

    #[test]
    fn a_meta_element_is_found_as_browsers_find_it() {
        for page in [
            &b"<meta charset=iso-8859-2>"[..],
            b"<html><META CharSet = 'iso-8859-2' >",
            b"<meta http-equiv=Content-Type content='text/html; charset=iso-8859-2'>",
            b"<meta content=\"text/html;CHARSET = 'iso-8859-2'\" http-equiv='content-type'/>",
            b"<!-- <meta charset=koi8-r> --><meta charset=iso-8859-2>",
            b"<!--><meta charset=iso-8859-2>",
            b"<p title='<meta charset=koi8-r>'><meta charset=iso-8859-2>",
            b"<meta name=charset content=koi8-r><meta content='text/html; charset=koi8-r'><meta charset=iso-8859-2>",
            b"<?php <meta > ?><!doctype x></p <meta charset=koi8-r>><meta/charset=iso-8859-2>",
            b"a < b <1><meta charset=nonsense><meta charset=iso-8859-2>",
        ] {
            let found = prescan(page).map(Encoding::name);
            assert_eq!(found, Some("ISO-8859-2"), "{}", String::from_utf8_lossy(page));
        }
        for page in [
            &b"<metal charset=koi8-r>"[..],
            b"<meta charset=\"koi8-r",
            b"<!-- <meta charset=koi8-r>",
            b"<",
            b"",
        ] {
            assert_eq!(prescan(page), None, "{}", String::from_utf8_lossy(page));
        }
        assert_eq!(prescan(b"<meta charset=utf-16>"), Some(UTF_8));
        assert_eq!(prescan(b"<meta charset=x-user-defined>"), Some(WINDOWS_1252));
        assert_eq!(prescan(&[&[b' '; 1024], &b"<meta charset=koi8-r>"[..]].concat()), None);
    }

    #[test]
    fn without_a_declaration_html_is_utf8_or_else_windows_1252_unless_there_is_a_default() {
        assert_eq!(read_html(b"\xc3\xa9", None), "\u{e9}");
        assert_eq!(read_html(b"\xe9\x80", None), "\u{e9}\u{20ac}");
        let default = DefaultCharset::new(Some("koi8-r")).expect("known");
        assert_eq!(decoded(html(&Bytes::from_static(b"\xc1"), None, default)), "\u{430}");
        assert_eq!(decoded(xml(&Bytes::from_static(b"<a>\xc1</a>"), None, default)), "<a>\u{430}</a>");
        assert!(DefaultCharset::new(Some("klingon")).is_err());
        assert!(DefaultCharset::new(Some("hz-gb-2312")).is_err());
    }

    #[test]
    fn invalid_bytes_are_an_error_in_xml_and_replaced_in_html() {
        assert_eq!(read_html(b"a\xffb", Some("utf-8")), "a\u{fffd}b");
        let refused = xml(&Bytes::from_static(b"<a>\xff</a>"), None, DefaultCharset::default());
        assert_eq!(refused, Err("the document has bytes that are invalid in UTF-8".to_owned()));
        assert!(html(&Bytes::from_static(b"x"), Some("iso-2022-kr"), DefaultCharset::default()).is_err());
    }

    #[test]
    fn utf_16_is_found_without_a_mark_and_what_the_standard_lacks_is_left_to_the_parser() {
        assert_eq!(read_xml(b"<\0a\0/\0>\0", None), "<a/>");
        assert_eq!(read_xml(b"\0<\0a\0/\0>", None), "<a/>");
        assert!(read_xml(b"<?xml version='1.0' encoding='utf-16'?><a/>", None).ends_with("<a/>"));
        for document in [&b"<\0\0\0a\0\0\0"[..], b"<?xml version='1.0' encoding='cp037'?><a/>"] {
            let left = xml(&Bytes::from_static(document), None, DefaultCharset::default()).expect("left");
            assert!(!left.is_utf8);
        }
    }
}
