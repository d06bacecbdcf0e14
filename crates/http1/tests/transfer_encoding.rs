//! Transfer-Encoding in requests (RFC 9112 section 6.1).

mod common;

use common::{accepted, all_refused, fields, status};
use http1::Framing;

#[test]
fn chunked_is_accepted_in_any_case() {
    for value in ["chunked", "chUnKed", "CHUNKED", " chunked "] {
        let head = accepted(&fields(format!("Transfer-Encoding:{value}\r\n").as_bytes()));
        assert_eq!(head.framing, Framing::Chunked);
    }
}

#[test]
fn beside_content_length_it_is_400() {
    all_refused(
        400,
        [
            fields(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            fields(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            fields(b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
        ],
    );
}

#[test]
fn on_http_1_0_it_is_400() {
    assert_eq!(status(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    assert_eq!(status(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"), 400);
    assert_eq!(
        status(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"),
        400
    );
}

#[test]
fn anything_but_chunked_is_400() {
    let values: [&[u8]; 27] = [
        b"identity",
        b"xchunked",
        b"chunkedx",
        b"chunked, identity",
        b"identity, chunked",
        b"chunked, chunked",
        b"chunked, gzip",
        b"gzip",
        b"gzip, x, chunked",
        b",chunked",
        b"chunked,",
        b", chunked",
        b"chunked;q=1",
        b"chunked; q=1",
        b"\x0bchunked",
        b"chunked\x0b",
        b"\tchunked",
        b"chunked\t",
        b" \tchunked",
        b"\0chunked",
        b"chun\0ked",
        b"",
        b"\"chunked\"",
        b"chun ked",
        b"chunked chunked",
        b"\xc4\x8bhunked",
        b"chunk\xe9d",
    ];
    all_refused(400, values.map(|value| fields(&[b"Transfer-Encoding: ", value, b"\r\n"].concat())));
}

#[test]
fn known_codings_before_a_final_chunked_are_501() {
    let values: [&[u8]; 4] =
        [b"gzip, chunked", b"deflate,chunked", b"GZIP , Chunked", b"gzip, compress, chunked"];
    all_refused(501, values.map(|value| fields(&[b"Transfer-Encoding: ", value, b"\r\n"].concat())));
}

#[test]
fn two_fields_are_400() {
    all_refused(
        400,
        [
            fields(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            fields(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
            fields(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"),
        ],
    );
}

#[test]
fn folded_it_is_400() {
    let lines: [&[u8]; 3] = [
        b"Transfer-Encoding:\r\n chunked\r\n",
        b"Transfer-Encoding: x\r\n chunked\r\n",
        b"Transfer-Encoding: chunked\r\n x\r\n",
    ];
    all_refused(400, lines.map(fields));
}
