//! The character classes and numbers of the grammar (RFC 9110 section 5.6, RFC 9112).

/// `tchar`: what a token is made of (RFC 9110 section 5.6.2).
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// What may stand in a field value or a reason phrase: tabs, spaces, visible characters and `obs-text`, no other
/// control (RFC 9110 section 5.5).
pub(crate) const fn is_text_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// A decimal number in the one spelling that every recipient reads alike: `1*DIGIT`, no sign, no leading zero,
/// no overflow.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    match digits {
        [] | [b'0', _, ..] => None,
        _ => digits.iter().try_fold(0_u64, |number, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            number.checked_mul(10)?.checked_add(digit)
        }),
    }
}

/// The elements of a comma-separated list, without the optional whitespace around them (RFC 9110 section 5.6.1).
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}
