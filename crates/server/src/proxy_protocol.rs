//! The PROXY protocol, versions 1 and 2: in front of everything else a balancer says whose connection it passes on.
//!
//! ```
//! use server::proxy_protocol::{Header, Parsed, parse};
//!
//! let parsed = parse(b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET / HTTP/1.1\r\n");
//! let Parsed::Header(Header { ends: Some((client, _)), length }) = parsed else { panic!("a header") };
//! assert_eq!((client.to_string().as_str(), length), ("192.0.2.1:56324", 42));
//! ```
//!
//! The promises:
//!
//! - A header is taken whole or not at all; how it was cut into reads changes nothing.
//! - What is kept back of it is bounded: a line of 107 bytes, or [`MOST`] bytes of version 2.
//! - Nothing is guessed: an address that is not one, or a length that lies, is [`Parsed::Broken`].
//!
//! It reads addresses only: what else version 2 carries (TLVs) is passed over. See
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What the beginning of a connection says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// There is more to come.
    Partial,
    /// The whole header.
    Header(Header),
    /// Something else, or a broken one: why.
    Broken(&'static str),
}

/// One header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The client's address and the one that it reached; `None` where the balancer speaks for itself (a health check),
    /// or for a client whose address it does not know.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// How many bytes the header has.
    pub length: usize,
}

/// The longest header of version 2 that is read.
pub const MOST: usize = 4096;

/// Reads the header that `bytes` begin with.
pub fn parse(bytes: &[u8]) -> Parsed {
    let begins = |signature: &[u8]| {
        let length = bytes.len().min(signature.len());
        bytes[..length] == signature[..length]
    };
    if begins(SIGNATURE) {
        return version_2(bytes);
    }
    if begins(b"PROXY ") {
        return version_1(bytes);
    }
    Parsed::Broken("it is not the PROXY protocol")
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The longest line of version 1, with its end.
const LINE: usize = 107;

fn version_1(bytes: &[u8]) -> Parsed {
    let Some(end) = bytes.iter().take(LINE).position(|byte| *byte == b'\n') else {
        return if bytes.len() < LINE { Parsed::Partial } else { Parsed::Broken("its line is too long") };
    };
    let line = bytes[..end].strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok());
    let Some(line) = line else { return Parsed::Broken("its line is malformed") };
    let length = end + 1;
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["PROXY", "UNKNOWN", ..] => Parsed::Header(Header { ends: None, length }),
        ["PROXY", family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            let end = |address: &str, port: &str| {
                let address: IpAddr = address.parse().ok()?;
                let is_plain =
                    port.bytes().all(|byte| byte.is_ascii_digit()) && (port == "0" || !port.starts_with('0'));
                let port = if is_plain { port.parse().ok()? } else { return None };
                (address.is_ipv4() == (family == "TCP4")).then(|| SocketAddr::new(address, port))
            };
            match (end(from, from_port), end(to, to_port)) {
                (Some(from), Some(to)) => Parsed::Header(Header { ends: Some((from, to)), length }),
                _ => Parsed::Broken("its addresses are malformed"),
            }
        }
        _ => Parsed::Broken("its line is malformed"),
    }
}

fn version_2(bytes: &[u8]) -> Parsed {
    let Some(fixed) = bytes.get(..16) else { return Parsed::Partial };
    let (command, family) = (fixed[12], fixed[13]);
    let length = 16 + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if command >> 4 != 2 {
        return Parsed::Broken("its version is not spoken here");
    }
    if length > MOST {
        return Parsed::Broken("it is too long");
    }
    let is_local = match command & 0xf {
        0 => true,
        1 => false,
        _ => return Parsed::Broken("its command is unknown"),
    };
    let Some(addresses) = bytes.get(16..length) else { return Parsed::Partial };
    let ends = match (is_local, family) {
        (true, _) | (false, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => None,
        (false, 0x11) => match ends_of::<4>(addresses) {
            Some(ends) => Some(ends),
            None => return Parsed::Broken("it is too short for its addresses"),
        },
        (false, 0x21) => match ends_of::<16>(addresses) {
            Some(ends) => Some(ends),
            None => return Parsed::Broken("it is too short for its addresses"),
        },
        _ => return Parsed::Broken("its family is unknown"),
    };
    Parsed::Header(Header { ends, length })
}

/// Two addresses of `SIZE` bytes, then two ports.
fn ends_of<const SIZE: usize>(addresses: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let (from, rest) = addresses.split_at_checked(SIZE)?;
    let (to, rest) = rest.split_at_checked(SIZE)?;
    let port = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
    Some((SocketAddr::new(address(from)?, port(0)?), SocketAddr::new(address(to)?, port(2)?)))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(from: &str, to: &str, length: usize) -> Parsed {
        let end = |text: &str| text.parse().expect("an address");
        Parsed::Header(Header { ends: Some((end(from), end(to))), length })
    }

    fn second(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    #[test]
    fn both_versions_tell_the_addresses_of_both_ends() {
        let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 4000 443\r\n";
        assert_eq!(parse(line), header("[2001:db8::1]:4000", "[2001:db8::2]:443", line.len()));
        let four = [192, 0, 2, 1, 192, 0, 2, 2, 0x0f, 0xa0, 1, 0xbb];
        assert_eq!(parse(&second(0x21, 0x11, &four)), header("192.0.2.1:4000", "192.0.2.2:443", 28));
        let six: Vec<u8> = [[0; 16], [1; 16]].concat().into_iter().chain([0, 1, 0, 2]).collect();
        let both = header("[::]:1", "[101:101:101:101:101:101:101:101]:2", 52);
        assert_eq!(parse(&second(0x21, 0x21, &six)), both);
    }

    #[test]
    fn what_else_version_2_carries_is_passed_over() {
        let rest = [&[192, 0, 2, 1, 192, 0, 2, 2, 0, 1, 0, 2][..], &[4, 0, 3, 1, 2, 3]].concat();

        assert_eq!(parse(&second(0x21, 0x11, &rest)), header("192.0.2.1:1", "192.0.2.2:2", 34));
    }

    #[test]
    fn a_balancer_that_speaks_for_itself_tells_no_addresses() {
        for (bytes, length) in [
            (second(0x20, 0x00, &[]), 16),
            (second(0x20, 0x11, &[9; 12]), 28),
            (second(0x21, 0x00, &[]), 16),
            (second(0x21, 0x31, &[0; 216]), 232),
            (b"PROXY UNKNOWN\r\n".to_vec(), 15),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), 35),
        ] {
            assert_eq!(parse(&bytes), Parsed::Header(Header { ends: None, length }), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_not_whole_yet_is_waited_for() {
        for whole in [
            b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n".to_vec(),
            second(0x21, 0x11, &[1; 12]),
            second(0x20, 0x00, &[]),
        ] {
            for end in 0..whole.len() {
                assert_eq!(parse(&whole[..end]), Parsed::Partial, "{end} of {whole:?}");
            }
        }
    }

    #[test]
    fn whatever_is_broken_is_refused() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 107]].concat();
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 ::1 ::2 1 2\r\n",
            b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 65iii 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 100000 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY\r\n",
            b"\x16\x03\x01",
            &long,
            &second(0x11, 0x11, &[1; 12]),
            &second(0x22, 0x11, &[1; 12]),
            &second(0x21, 0x11, &[1; 11]),
            &second(0x21, 0x21, &[1; 35]),
            &second(0x21, 0x13, &[1; 12]),
            &second(0x21, 0x41, &[1; 12]),
            &second(0x21, 0x11, &[1; 5000]),
        ] {
            assert!(matches!(parse(bytes), Parsed::Broken(_)), "{bytes:?}: {:?}", parse(bytes));
        }
    }
}
