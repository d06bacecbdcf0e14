//! The `traceparent` field, which tells a trace and the span that asks (W3C Trace Context section 3.2).
//!
//! ```
//! let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
//! let parent = onion::Traceparent::read(text).ok_or("a traceparent")?;
//! assert!(parent.sampled);
//! assert_eq!(parent.text(), *text.as_bytes());
//! # Ok::<(), &str>(())
//! ```
//!
//! Promises: what is not valid is not read; a later version is read as far as this one knows it.

use std::ops::Range;

/// Which trace a request belongs to, and what in it the request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traceparent {
    /// The trace; not all zero.
    pub trace: [u8; 16],
    /// The span that asks; not all zero.
    pub span: [u8; 8],
    /// Whether it is recorded.
    pub sampled: bool,
}

impl Traceparent {
    /// Of version 00, in bytes.
    pub const LENGTH: usize = 55;

    /// Where in the text the trace stands.
    pub const TRACE: Range<usize> = 3..35;

    /// Reads a field's value, if it is valid.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let [version] = bytes(parts.next()?)?;
        let trace = bytes(parts.next()?).filter(|trace: &[u8; 16]| trace.iter().any(|byte| *byte != 0))?;
        let span = bytes(parts.next()?).filter(|span: &[u8; 8]| span.iter().any(|byte| *byte != 0))?;
        let [flags] = bytes(parts.next()?)?;
        // A later version may have more parts; version 00 has these four.
        let is_valid = version != 0xff && (version != 0 || parts.next().is_none());
        is_valid.then_some(Traceparent { trace, span, sampled: flags & SAMPLED != 0 })
    }

    /// The field's value, in version 00.
    pub fn text(&self) -> [u8; Self::LENGTH] {
        let mut text = *b"00-tttttttttttttttttttttttttttttttt-ssssssssssssssss-00";
        write_hexadecimal(&mut text[Self::TRACE], &self.trace);
        write_hexadecimal(&mut text[SPAN], &self.span);
        write_hexadecimal(&mut text[FLAGS], &[u8::from(self.sampled)]);
        text
    }
}

/// `bytes` in lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

fn write_hexadecimal(text: &mut [u8], bytes: &[u8]) {
    for (digits, byte) in text.chunks_exact_mut(2).zip(bytes) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 0xf)];
    }
}

/// The bytes that just so many lower-case hexadecimal digits stand for.
fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, digits) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(digits[0])? << 4 | value(digits[1])?;
    }
    Some(bytes)
}

const SPAN: Range<usize> = 36..52;
const FLAGS: Range<usize> = 53..55;
const SAMPLED: u8 = 1;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_what_is_valid_is_read() {
        let later = format!("cc-{}-and-more", &GIVEN[3..]);
        for valid in [GIVEN, &later] {
            assert_eq!(
                Traceparent::read(valid).map(|read| read.text()).as_ref(),
                GIVEN.as_bytes().first_chunk()
            );
        }
        let zeros = format!("00-{:032}-00f067aa0ba902b7-01", 0);
        let [more, shouted, invalid] =
            [format!("{GIVEN}-x"), GIVEN.to_uppercase(), GIVEN.replacen("00", "ff", 1)];
        for wrong in ["", "00", &GIVEN[..54], &zeros, &more, &shouted, &invalid] {
            assert_eq!(Traceparent::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_flag_tells_whether_it_is_recorded() {
        let read =
            |flags: &str| Traceparent::read(&format!("{}{flags}", &GIVEN[..53])).map(|read| read.sampled);

        assert_eq!(["00", "01", "02", "03"].map(read), [Some(false), Some(true), Some(false), Some(true)]);
    }
}
