//! The chunked transfer coding (RFC 9112 section 7.1).

mod common;

use common::{Body, chunks};

/// The status of the refusal; 0 if the body is complete, 1 if it is not.
fn status(input: &[u8]) -> u16 {
    match chunks(input).end {
        Ok(complete) => u16::from(!complete),
        Err(rejection) => rejection.status.as_u16(),
    }
}

#[track_caller]
fn all(expected: u16, inputs: impl IntoIterator<Item = impl AsRef<[u8]>>) {
    for input in inputs {
        assert_eq!(status(input.as_ref()), expected, "{}", input.as_ref().escape_ascii());
    }
}

#[test]
fn chunks_are_joined_and_the_rest_is_the_next_request() {
    assert_eq!(
        chunks(b"4\r\nWiki\r\n0A\r\n0123456789\r\n1\r\n!\r\n0\r\n\r\nGET"),
        Body { data: b"Wiki0123456789!".to_vec(), end: Ok(true), left: "GET".into() }
    );
}

#[test]
fn a_size_is_hexadecimal_in_either_case_with_leading_zeros() {
    assert_eq!(chunks(b"a\r\n0123456789\r\n0\r\n\r\n").data, b"0123456789");
    assert_eq!(chunks(b"000000000000000A\r\n0123456789\r\n00\r\n\r\n").data, b"0123456789");
}

#[test]
fn a_malformed_size_is_400() {
    all(
        400,
        [
            "6_0\r\n",
            "0x5\r\nabcde\r\n",
            "+5\r\n",
            "-5\r\n",
            " 5\r\n",
            "5 \r\n",
            "5 6\r\n",
            "5 a;b\r\n",
            "\t5\r\n",
            "5\t\r\n",
            "5z\r\n",
            "z\r\n",
            "\r\n",
            "\r\n5\r\n",
            ";ext\r\n",
            ";\r\n",
            "5;\r\n",
            "-0\r\n",
            "\u{b2}\r\n",
            "5,5\r\n",
            "5\0\r\n",
        ],
    );
}

#[test]
fn a_size_that_overflows_is_400_before_its_line_ends() {
    all(
        400,
        [
            "8000000000000000",
            "ffffffffffffffff",
            "10000000000000000",
            "ffffffffffffffffffff",
            "00000000000000000",
            "00000000000000005\r\n",
        ],
    );
    assert_eq!(status(b"7fffffffffffffff\r\nabc"), 1);
}

#[test]
fn lines_end_with_crlf_and_nothing_else() {
    all(
        400,
        [
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello\r\n0\n\r\n",
            "5\r\nhello\r\n0\r\n\n",
            "5\rhello",
            "5\r\r\nhello",
            "5\r\nhello\rX",
            "5\r\nhello\r\r\n",
            "0\r\n\r\r\n",
        ],
    );
}

#[test]
fn data_ends_where_its_size_says() {
    all(
        400,
        [
            "3\r\nabcd\r\n",
            "3\r\nab\r\n0\r\n\r\n",
            "5\r\nabc\r\n0\r\n\r\n",
            "1\r\nab\r\n0\r\n\r\n",
            "3\r\nabc0\r\n\r\n",
        ],
    );
}

#[test]
fn a_body_without_its_last_line_is_not_complete() {
    all(
        1,
        [
            "",
            "5",
            "5\r\n",
            "5\r\nhel",
            "5\r\nhello",
            "5\r\nhello\r\n",
            "0",
            "0\r",
            "0\r\n",
            "0\r\n\r",
            "0\r\nX: a\r\n",
        ],
    );
}

#[test]
fn well_formed_extensions_are_dropped() {
    for extension in [
        ";a",
        ";a=b",
        ";a=\"b\"",
        ";a=\"\"",
        ";a;b=c;d=\"e f\"",
        ";a=\"\\\"\\\\\"",
        ";a=\"\t;=\"",
        ";a=\"\u{e9}\"",
        ";a=1",
        " ;a",
        "\t ; a",
        ";a = b",
        ";a\t=\t\"b\" ;c ; d",
        ";a ;b",
    ] {
        let body = chunks(format!("1{extension}\r\nx\r\n0{extension}\r\n\r\n").as_bytes());
        assert_eq!((&body.data[..], body.end), (&b"x"[..], Ok(true)), "{extension}");
    }
}

#[test]
fn malformed_extensions_are_400() {
    for extension in [
        ";",
        ";;a",
        ";a;",
        ";=b",
        ";a=",
        ";a=;",
        ";a=b=c",
        ";a=\"b\"c",
        ";a b",
        " ",
        ";a ",
        " a",
        "; ",
        ";a= ",
        ";a=b ",
        ";a=b c",
        ";a=\"b\" c",
        ";a =\t",
        ";a\n",
        ";a\rb",
        ";a=\"b\n",
        ";a=\"\r\n\"",
        ";a=\"\n\"",
        ";a=\"\\\r\"",
        ";a=\"\0\"",
        ";a=\"\u{7f}\"",
        ";\0",
        ";\u{e9}",
        ";a=b\"",
        "\\;a",
    ] {
        all(400, [format!("1{extension}\r\nx\r\n0\r\n\r\n")]);
    }
}

#[test]
fn extensions_are_bounded_a_chunk_and_a_body() {
    let chunk = |length: usize| format!("1;{}\r\nx\r\n", "a".repeat(length - 1));
    assert_eq!(status(chunk(256).as_bytes()), 1);
    assert_eq!(status(chunk(257).as_bytes()), 400);
    assert_eq!(status(format!("1;{}", "a".repeat(65_536)).as_bytes()), 400);
    assert_eq!(status(chunk(256).repeat(64).as_bytes()), 1);
    assert_eq!(status(chunk(256).repeat(65).as_bytes()), 400);
}

#[test]
fn many_small_chunks_are_one_body() {
    let body = chunks(&[&b"1\r\nx\r\n".repeat(5000)[..], b"0\r\n\r\n"].concat());
    assert_eq!((body.data.len(), body.end), (5000, Ok(true)));
}

#[test]
fn well_formed_trailers_are_dropped() {
    let body = chunks(b"1\r\nx\r\n0\r\nChecksum: abc\r\nEmpty:\r\nX: caf\xe9\r\n\r\nGET");
    assert_eq!(body, Body { data: b"x".to_vec(), end: Ok(true), left: "GET".into() });
}

#[test]
fn malformed_trailers_are_400() {
    let trailers: [&[u8]; 11] = [
        b"X\r\n",
        b": a\r\n",
        b"X : a\r\n",
        b" X: a\r\n",
        b"X: a\r\n b\r\n",
        b"X: a\n",
        b"X: a\rb\r\n",
        b"X: \0\r\n",
        b"X\xc3\xa9: a\r\n",
        b"X: a\r\nGET / HTTP/1.1\r\n",
        b"X: \x7f\r\n",
    ];
    all(400, trailers.map(|trailer| [b"0\r\n", trailer, b"\r\n"].concat()));
}

#[test]
fn trailers_that_may_not_be_trailers_are_dropped() {
    for name in [
        "Content-Length",
        "Transfer-Encoding",
        "Host",
        "Authorization",
        "Content-Type",
        "cookie",
        "TRAILER",
        "te",
    ] {
        let body = chunks(format!("1\r\nx\r\n0\r\n{name}: 5\r\n\r\nGET").as_bytes());
        assert_eq!(body, Body { data: b"x".to_vec(), end: Ok(true), left: "GET".into() });
    }
}

#[test]
fn trailers_are_bounded() {
    assert_eq!(status(format!("0\r\n{}\r\n", "X: a\r\n".repeat(32)).as_bytes()), 0);
    assert_eq!(status(format!("0\r\n{}", "X: a\r\n".repeat(33)).as_bytes()), 431);
    assert_eq!(status(format!("0\r\nX: {}\r\n\r\n", "a".repeat(8000)).as_bytes()), 0);
    assert_eq!(status(format!("0\r\nX: {}", "a".repeat(8192)).as_bytes()), 431);
}
