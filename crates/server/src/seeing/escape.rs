//! What clients send, made harmless for a line of a log: nobody can end a line, or a value, from outside.

use std::borrow::Cow;

/// Appends `text` so that it can stand between quotation marks in a line of plain text. All but visible ASCII becomes
/// `\xHH`, as in nginx's logs.
pub(super) fn plain(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' | b'\\' | ..b' ' | 0x7f.. => {
                out.extend_from_slice(b"\\x");
                out.extend_from_slice(&hexadecimal(byte));
            }
            _ => out.push(byte),
        }
    }
}

/// Appends `text` as a JSON string (RFC 8259 section 7). What is no UTF-8 is read as Latin-1.
pub(super) fn json(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' | '\\' => out.extend_from_slice(&[b'\\', letter as u8]),
                '\0'..' ' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                    out.extend_from_slice(format!("\\u{:04x}", u32::from(letter)).as_bytes());
                }
                _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for &byte in chunk.invalid() {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&hexadecimal(byte));
        }
    }
    out.push(b'"');
}

fn hexadecimal(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// The query of `target` with the values of the parameters in `names` masked; of all of them if one is `*`.
pub(super) fn mask_query(target: &[u8], names: &[String]) -> Option<Vec<u8>> {
    let start = target.iter().position(|byte| *byte == b'?')? + 1;
    if names.is_empty() {
        return None;
    }
    let mut masked = target[..start].to_vec();
    for (index, pair) in target[start..].split(|byte| *byte == b'&').enumerate() {
        if index > 0 {
            masked.push(b'&');
        }
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(end) => (&pair[..end], Some(&pair[end + 1..])),
            None => (pair, None),
        };
        let decoded = std::str::from_utf8(name).map_or(Cow::Borrowed(name), onion::path::decode);
        let is_masked =
            names.iter().any(|each| each == "*" || each.as_bytes().eq_ignore_ascii_case(&decoded));
        masked.extend_from_slice(name);
        match value {
            Some(_) if is_masked => masked.extend_from_slice(b"=***"),
            Some(value) => {
                masked.push(b'=');
                masked.extend_from_slice(value);
            }
            None => {}
        }
    }
    Some(masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(escape: fn(&mut Vec<u8>, &[u8]), text: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, text);
        String::from_utf8(out).expect("it is text")
    }

    #[test]
    fn a_value_ends_neither_its_line_nor_itself() {
        assert_eq!(shown(plain, b"a\r\nb\"c\\d\x1b[0m\x7f\xe4"), r"a\x0d\x0ab\x22c\x5cd\x1b[0m\x7f\xe4");
        assert_eq!(shown(json, "a\r\n\"\\\u{1b}ä\u{2028}".as_bytes()), r#""a\u000d\u000a\"\\\u001bä\u2028""#);
        assert_eq!(shown(json, b"\xe4\x7f"), r#""\u00e4\u007f""#);
    }

    #[test]
    fn the_values_of_masked_parameters_are_not_shown() {
        let masked = |target: &str, names: &[&str]| {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            mask_query(target.as_bytes(), &names).map(|masked| String::from_utf8(masked).expect("it is text"))
        };
        assert_eq!(masked("/a?token=1&b=2", &["token"]).as_deref(), Some("/a?token=***&b=2"));
        assert_eq!(masked("/a?b&Tok%65n=1", &["token"]).as_deref(), Some("/a?b&Tok%65n=***"));
        assert_eq!(masked("/a?b=1&c=2=3", &["*"]).as_deref(), Some("/a?b=***&c=***"));
        assert_eq!(masked("/a", &["*"]), None);
        assert_eq!(masked("/a?b=1", &[]), None);
    }
}
