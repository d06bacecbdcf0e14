//! The syntax of header fields (RFC 9112 section 5), and the fields that are refused or dropped.

mod common;

use common::{accepted, all_refused, bare, fields, status};

#[test]
fn fields_come_in_their_order_without_the_space_around_them() {
    let head = accepted(&fields(b"A:1\r\nB: \t 2 \t\r\nA:   3\r\nEmpty:\r\nBlank:  \r\n"));
    let values = head.headers.get_all("a").iter().map(http::HeaderValue::as_bytes).collect::<Vec<_>>();
    assert_eq!(values, [b"1", b"3"]);
    assert_eq!(head.headers["b"], "2");
    assert_eq!(head.headers["empty"], "");
    assert_eq!(head.headers["blank"], "");
}

#[test]
fn any_byte_above_ascii_is_kept_in_a_value() {
    let head = accepted(&fields(b"X: caf\xe9 \xc3\xa9 \x80\xff\r\n"));
    assert_eq!(head.headers["x"].as_bytes(), b"caf\xe9 \xc3\xa9 \x80\xff");
}

#[test]
fn a_space_before_the_colon_is_400() {
    let lines: [&[u8]; 4] =
        [b"Content-Length : 3\r\n", b"X\t: 3\r\n", b"X : 3\r\n", b"Transfer-Encoding : chunked\r\n"];
    all_refused(400, lines.map(fields));
}

#[test]
fn a_malformed_name_is_400() {
    let lines: [&[u8]; 13] = [
        b": a\r\n",
        b"X\r\n",
        b"X a\r\n",
        b"Content-Length\xc3\x9f: 1\r\n",
        b"Content-Length\xff: 1\r\n",
        b"\xc3\xa9: 1\r\n",
        b"X(: 1\r\n",
        b"X\0: 1\r\n",
        b"\"X\": 1\r\n",
        b"X/Y: 1\r\n",
        b"X@: 1\r\n",
        b"X\x7f: 1\r\n",
        b"[X]: 1\r\n",
    ];
    all_refused(400, lines.map(fields));
}

#[test]
fn a_control_character_in_a_value_is_400() {
    for byte in (0..b' ').chain([0x7f]).filter(|byte| *byte != b'\t') {
        for value in [&[b'a', byte, b'b'][..], &[byte], &[b'a', byte], &[byte, b'a']] {
            let request = fields(&[b"X: ", value, b"\r\n"].concat());
            assert_eq!(status(&request), 400, "{}", request.escape_ascii());
        }
        // And within the stretches that are looked at many bytes at a time.
        let request = fields(&[b"X: ", &b"a".repeat(40)[..], &[byte], &b"b".repeat(40), b"\r\n"].concat());
        assert_eq!(status(&request), 400, "{}", request.escape_ascii());
    }
}

#[test]
fn a_bare_lf_ends_no_line() {
    let inputs: [&[u8]; 9] = [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nX:\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: \nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\n Content-Length: 26\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\nContent-Length: 26\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\n\n\r\n\r\n",
    ];
    all_refused(400, inputs);
}

#[test]
fn a_bare_cr_ends_no_line() {
    let inputs: [&[u8]; 5] = [
        b"GET / HTTP/1.1\rHost: a\r\r\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \r\r\n\r\n",
    ];
    all_refused(400, inputs);
}

#[test]
fn folded_lines_are_400() {
    let lines: [&[u8]; 6] = [
        b"X: a\r\n b\r\n",
        b"X: a\r\n\tb\r\n",
        b"X:\r\n b\r\n",
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"Transfer-Encoding: chunked\r\n \r\n",
        b"Content-Length:\r\n 5\r\n",
    ];
    all_refused(400, lines.map(fields));
}

#[test]
fn space_before_the_first_field_is_400() {
    let lines: [&[u8]; 3] = [b" Host: a\r\n", b"\tHost: a\r\n", b" \r\nHost: a\r\n"];
    all_refused(400, lines.map(bare));
}

#[test]
fn names_with_an_underscore_are_dropped() {
    let head = accepted(&fields(
        b"X_Forwarded_For: 1\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\nX-Forwarded-For: 2\r\n_: 3\r\n",
    ));
    assert_eq!(head.headers.keys_len(), 2);
    assert_eq!(head.headers["x-forwarded-for"], "2");
    assert_eq!(head.framing, http1::Framing::None);
}

#[test]
fn two_content_types_are_400() {
    all_refused(
        400,
        [
            fields(b"Content-Type: a/b\r\nContent-Type: a/b\r\n"),
            fields(b"Content-Type: a/b\r\ncontent-type: c/d\r\n"),
        ],
    );
}

#[test]
fn an_unknown_expectation_is_417() {
    let lines: [&[u8]; 5] = [
        b"Expect: \r\n",
        b"Expect: 200-ok\r\n",
        b"Expect: 100-continue, x\r\n",
        b"Expect: 100-continued\r\n",
        b"Expect: 100-continue\r\nExpect: x\r\n",
    ];
    all_refused(417, lines.map(fields));
}

#[test]
fn an_expectation_counts_only_where_a_body_comes() {
    assert!(accepted(&fields(b"Expect: 100-Continue\r\nContent-Length: 1\r\n")).expect_continue);
    assert!(accepted(&fields(b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n")).expect_continue);
    assert!(!accepted(&fields(b"Expect: 100-continue\r\n")).expect_continue);
    assert!(!accepted(&fields(b"Expect: 100-continue\r\nContent-Length: 0\r\n")).expect_continue);
    let old = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
    assert!(!accepted(old).expect_continue);
}

#[test]
fn the_connection_goes_on_by_version_and_connection() {
    let keeps = |lines: &[u8]| accepted(&bare(&[b"Host: a\r\n", lines].concat())).keep_alive;
    assert!(keeps(b""));
    assert!(keeps(b"Connection: keep-alive\r\n"));
    assert!(keeps(b"Connection: closed\r\n"));
    assert!(keeps(b"Connection:\r\n"));
    assert!(!keeps(b"Connection: close\r\n"));
    assert!(!keeps(b"Connection: CLOSE\r\n"));
    assert!(!keeps(b"Connection: te, close\r\n"));
    assert!(!keeps(b"Connection: close, keep-alive\r\n"));
    assert!(!keeps(b"Connection: keep-alive\r\nConnection: close\r\n"));

    let keeps = |lines: &[u8]| accepted(&[b"GET / HTTP/1.0\r\n", lines, b"\r\n"].concat()).keep_alive;
    assert!(!keeps(b""));
    assert!(keeps(b"Connection: Keep-Alive\r\n"));
    assert!(!keeps(b"Connection: keep-alive, close\r\n"));
}
