//! What the house itself has to say: a line at a time, to stderr.
//!
//! Promises: a line is written at once and in one piece, so that those of several processes do not mix; nothing of a
//! request gets control characters into it; and a stderr that is closed, full or broken stops nobody.

use std::borrow::Cow;
use std::io::{Write as _, stderr};

/// Says `what`, as a line of the log.
pub fn report(what: &str) {
    // There is nowhere to say that this can't be said.
    let _ = stderr().write_all(format!("onionskin: {}\n", escaped(what)).as_bytes());
}

/// `text` with its control characters as Rust writes them.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            escaped.extend(letter.escape_default());
        } else {
            escaped.push(letter);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_gets_into_a_line() {
        assert_eq!(
            escaped("GET /a\r\nonionskin: forged \u{1b}[2J"),
            "GET /a\\r\\nonionskin: forged \\u{1b}[2J"
        );
        assert_eq!(escaped("café"), "café");
    }
}
