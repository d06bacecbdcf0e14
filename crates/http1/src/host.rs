//! Host and port, as in the Host field and in an absolute target (RFC 9110 section 7.2, RFC 3986 section 3.2).
//!
//! A name is letters, digits, `-`, `.` and `_`; an IPv6 literal stands in brackets; a colon is followed by a port
//! of 1 to 5 digits. What the grammar of URIs would take besides (`,`, `%`, `;` ...) is in no name of a host, and
//! is what host confusion is made of.

use std::net::Ipv6Addr;

use crate::rejection::Rejection;

/// Refuses what is not exactly one host with an optional port.
pub(crate) fn check(host: &[u8]) -> Result<(), Rejection> {
    let well_formed = match host {
        [b'[', literal @ ..] => check_literal(literal),
        _ => check_name(host),
    };
    if well_formed { Ok(()) } else { Err(Rejection::bad_request("malformed host")) }
}

fn check_name(host: &[u8]) -> bool {
    let end = host.iter().position(|byte| !NAME_BYTES[usize::from(*byte)]).unwrap_or(host.len());
    end > 0 && check_port(&host[end..])
}

/// The bytes of a name, computed once: every request has a host.
static NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        byte += 1;
    }
    table
};

fn check_literal(literal: &[u8]) -> bool {
    let Some(end) = memchr::memchr(b']', literal) else { return false };
    let is_address =
        std::str::from_utf8(&literal[..end]).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
    is_address && check_port(&literal[end + 1..])
}

fn check_port(port: &[u8]) -> bool {
    match port {
        [] => true,
        [b':', digits @ ..] => {
            (1..=5).contains(&digits.len())
                && digits.iter().all(u8::is_ascii_digit)
                && digits.iter().fold(0, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65_535
        }
        _ => false,
    }
}
