//! Host and port, as in the Host field and in an absolute target (RFC 9110 section 7.2, RFC 3986 section 3.2).
//!
//! A name is a reg-name of RFC 3986 that is neither empty nor has an empty label; one dot may stand at its end. An IPv6
//! literal stands in brackets. A colon is followed by a port of up to 5 digits, or by none (RFC 3986 section 3.2.3).
//! Userinfo is not accepted (RFC 9110 section 4.2.4), nor is an escaped control character.

use std::net::Ipv6Addr;

use crate::rejection::Rejection;
use crate::target::octet;

/// Rejects everything but exactly one host with an optional port.
pub(crate) fn check(host: &[u8]) -> Result<(), Rejection> {
    let well_formed = match host {
        [b'[', literal @ ..] => check_literal(literal),
        _ => check_name(host),
    };
    if well_formed { Ok(()) } else { Err(Rejection::bad_request("malformed host")) }
}

fn check_name(host: &[u8]) -> bool {
    let digits = host.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (name, port) = match host.split_at(host.len() - digits) {
        ([name @ .., b':'], port) => (name, port),
        _ => (host, &[][..]),
    };
    // A dot after a dot, or at the start, ends an empty label.
    let (mut seen, mut empty_label, mut before) = (0, 0, DOT);
    for byte in name {
        let class = CLASSES[usize::from(*byte)];
        seen |= class;
        empty_label |= class & before;
        before = class;
    }
    let well_formed = seen & FORBIDDEN == 0 && empty_label & DOT == 0 && !name.is_empty();
    well_formed && (seen & PERCENT == 0 || has_plain_escapes(name)) && is_port(port)
}

#[cold]
fn has_plain_escapes(name: &[u8]) -> bool {
    let mut escapes = name.split(|byte| *byte == b'%').skip(1);
    escapes.all(|escape| escape.get(..2).and_then(octet).is_some_and(|octet| !octet.is_ascii_control()))
}

const FORBIDDEN: u8 = 1;
const PERCENT: u8 = 2;
const DOT: u8 = 4;

/// The bytes of a name, computed once: every request has a host.
static CLASSES: [u8; 256] = {
    let mut table = [FORBIDDEN; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'.' => DOT,
            b'%' => PERCENT,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' // unreserved
            | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' => 0, // sub-delims
            _ => FORBIDDEN,
        };
        byte += 1;
    }
    table
};

fn check_literal(literal: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b']', literal) else { return false };
    let is_address =
        std::str::from_utf8(&literal[..end]).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
    is_address
        && match &literal[end + 1..] {
            [] => true,
            [b':', port @ ..] => port.iter().all(u8::is_ascii_digit) && is_port(port),
            _ => false,
        }
}

/// Whether these digits are a port, or none.
fn is_port(digits: &[u8]) -> bool {
    digits.len() <= 5 && digits.iter().fold(0, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65_535
}
