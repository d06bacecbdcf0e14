//! Content-Length in requests (RFC 9112 section 6.2).

mod common;

use common::{accepted, all_refused, decode_in_steps, fields};
use http1::Framing;

#[test]
fn one_number_is_the_length() {
    for (value, framing) in [
        ("0", Framing::None),
        ("1", Framing::Length(1)),
        ("10", Framing::Length(10)),
        ("18446744073709551615", Framing::Length(u64::MAX)),
    ] {
        assert_eq!(accepted(&fields(format!("Content-Length: {value}\r\n").as_bytes())).framing, framing);
        assert_eq!(accepted(&fields(format!("content-LENGTH:{value}  \r\n").as_bytes())).framing, framing);
    }
    assert_eq!(accepted(&fields(b"")).framing, Framing::None);
}

#[test]
fn anything_else_is_400() {
    let values: [&[u8]; 33] = [
        b"-1",
        b"-0",
        b"+1",
        b"+0",
        b"0_1",
        b"1_0",
        b"0x10",
        b"1 0",
        b"0 1",
        b"3 1",
        b"5, 5",
        b"5,5",
        b"5, 6",
        b"5,",
        b",5",
        b"",
        b"\t5",
        b" \t5",
        b"5\t",
        b"5 \t",
        b"18446744073709551616",
        b"99999999999999999999999999",
        b"00",
        b"01",
        b"000005",
        b"5a",
        b"5;",
        b"5.0",
        b"1e3",
        b"\"5\"",
        b"five",
        b"\xb2",
        b"5\x0b",
    ];
    all_refused(400, values.map(|value| fields(&[b"Content-Length: ", value, b"\r\n"].concat())));
}

#[test]
fn two_fields_are_400_even_if_equal() {
    all_refused(
        400,
        [
            fields(b"Content-Length: 5\r\nContent-Length: 6\r\n"),
            fields(b"Content-Length: 5\r\nContent-Length: 5\r\n"),
            fields(b"Content-Length: 0\r\ncontent-length: 0\r\n"),
        ],
    );
}

#[test]
fn get_head_and_options_may_have_a_body() {
    for method in ["GET", "HEAD", "OPTIONS"] {
        let head =
            accepted(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n").as_bytes());
        assert_eq!(head.framing, Framing::Length(3));
    }
}

#[test]
fn a_body_ends_at_its_length_and_the_rest_is_the_next_request() {
    for step in [1, 2, 3, usize::MAX] {
        let body = decode_in_steps(Framing::Length(3), b"abcGET", step);
        assert_eq!((&body.data[..], body.end, &body.left[..]), (&b"abc"[..], Ok(true), &b"GET"[..]));
    }
    let body = decode_in_steps(Framing::None, b"GET", 1);
    assert_eq!((&body.data[..], body.end, &body.left[..]), (&b""[..], Ok(true), &b"GET"[..]));
}

#[test]
fn a_body_cut_short_is_not_complete() {
    assert_eq!(decode_in_steps(Framing::Length(4), b"abc", 2).end, Ok(false));
    assert_eq!(decode_in_steps(Framing::Length(u64::MAX), b"abc", 2).end, Ok(false));
}
