//! Response heads and bodies on the wire (RFC 9112 section 6, RFC 9110 section 8.6).

use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use http1::{BodyEncoder, HeadError, ResponseHead, encode_head};

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// A response to a GET on HTTP/1.1 that may keep the connection.
fn head(headers: &HeaderMap) -> ResponseHead<'_> {
    ResponseHead {
        status: StatusCode::OK,
        reason: None,
        headers,
        body_length: None,
        request_method: &Method::GET,
        request_version: Version::HTTP_11,
        keep_alive: true,
        date: DATE,
        server: None,
        upgrade: None,
    }
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    headers
}

/// Head without the Date line, encoder, keep-alive.
fn encode(head: &ResponseHead<'_>) -> (String, BodyEncoder, bool) {
    let mut out = Vec::new();
    let (encoder, keep_alive) = encode_head(&mut out, head).expect("a valid head");
    let text = String::from_utf8_lossy(&out).replace("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "");
    (text, encoder, keep_alive)
}

#[test]
fn an_ordinary_head_is_written_with_date_and_server() {
    let headers = headers(&[("content-type", "text/plain"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]);
    let mut out = b"before".to_vec();
    let head = ResponseHead { body_length: Some(5), server: Some("onionskin"), ..head(&headers) };
    let (encoder, keep_alive) = encode_head(&mut out, &head).expect("a valid head");
    assert_eq!(
        String::from_utf8_lossy(&out),
        "beforeHTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\
         Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: onionskin\r\nContent-Length: 5\r\n\r\n"
    );
    assert_eq!((encoder, keep_alive), (BodyEncoder::Length(5), true));
}

#[test]
fn date_and_server_of_the_application_are_kept() {
    let headers = headers(&[("date", "now"), ("server", "mine")]);
    let (text, ..) =
        encode(&ResponseHead { body_length: Some(0), server: Some("onionskin"), ..head(&headers) });
    assert_eq!(text, "HTTP/1.1 200 OK\r\nDate: now\r\nServer: mine\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn the_reason_is_the_registered_one_unless_given() {
    let headers = HeaderMap::new();
    let line = |status: u16, reason: Option<&'static [u8]>| {
        let status = StatusCode::from_u16(status).expect("a status");
        encode(&ResponseHead { status, reason, ..head(&headers) }).0.lines().next().map(str::to_owned)
    };
    assert_eq!(line(404, None).as_deref(), Some("HTTP/1.1 404 Not Found"));
    assert_eq!(line(200, Some(b"Fine")).as_deref(), Some("HTTP/1.1 200 Fine"));
    assert_eq!(line(299, None).as_deref(), Some("HTTP/1.1 299 "));
    assert_eq!(line(404, Some(b"")).as_deref(), Some("HTTP/1.1 404 "));
    assert_eq!(line(404, Some("fehlt \u{e9}".as_bytes())).as_deref(), Some("HTTP/1.1 404 fehlt \u{e9}"));
}

#[test]
fn a_control_character_in_the_reason_writes_nothing() {
    let headers = HeaderMap::new();
    for reason in [&b"a\r\nX: y"[..], b"a\nb", b"a\rb", b"\0", b"\x7f", b"a\x07"] {
        let mut out = Vec::new();
        let outcome = encode_head(&mut out, &ResponseHead { reason: Some(reason), ..head(&headers) });
        assert_eq!((outcome, out), (Err(HeadError::Reason), vec![]));
    }
}

#[test]
fn a_content_length_that_is_not_one_number_writes_nothing() {
    for fields in [
        &[("content-length", "5"), ("content-length", "5")][..],
        &[("content-length", "5, 5")],
        &[("content-length", "-1")],
        &[("content-length", "+1")],
        &[("content-length", "")],
        &[("content-length", "05")],
        &[("content-length", "0x5")],
        &[("content-length", "18446744073709551616")],
    ] {
        let mut out = Vec::new();
        let outcome = encode_head(&mut out, &head(&headers(fields)));
        assert_eq!((outcome, out), (Err(HeadError::ContentLength), vec![]), "{fields:?}");
    }
}

#[test]
fn the_applications_length_wins_over_that_of_the_body() {
    let headers = headers(&[("content-length", "7")]);
    let (text, encoder, _) = encode(&ResponseHead { body_length: Some(5), ..head(&headers) });
    assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
    assert_eq!(encoder, BodyEncoder::Length(7));
}

#[test]
fn an_unknown_length_goes_in_chunks() {
    let (text, encoder, keep_alive) = encode(&head(&HeaderMap::new()));
    assert_eq!(text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!((encoder, keep_alive), (BodyEncoder::Chunked, true));
}

#[test]
fn http_1_0_gets_no_chunks_but_the_end_of_the_connection() {
    let headers = HeaderMap::new();
    let old = ResponseHead { request_version: Version::HTTP_10, ..head(&headers) };
    let (text, encoder, keep_alive) = encode(&old);
    assert_eq!(text, "HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!((encoder, keep_alive), (BodyEncoder::UntilClose, false));

    let (text, _, keep_alive) = encode(&ResponseHead { body_length: Some(3), ..old });
    assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n");
    assert!(keep_alive);

    let (text, _, keep_alive) = encode(&ResponseHead { body_length: Some(3), keep_alive: false, ..old });
    assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    assert!(!keep_alive);
}

#[test]
fn a_connection_that_ends_is_announced() {
    let headers = HeaderMap::new();
    let (text, _, keep_alive) =
        encode(&ResponseHead { keep_alive: false, body_length: Some(1), ..head(&headers) });
    assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n");
    assert!(!keep_alive);
}

#[test]
fn what_belongs_to_the_connection_is_dropped() {
    let names = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "proxy-authentication-info",
    ];
    let fields = names.map(|name| (name, "chunked"));
    let (text, ..) = encode(&ResponseHead { body_length: Some(1), ..head(&headers(&fields)) });
    assert_eq!(text, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
}

#[test]
fn head_is_answered_like_get_without_the_body() {
    let asked = Method::HEAD;
    let (none, seven) = (HeaderMap::new(), headers(&[("content-length", "7")]));
    for (headers, body_length, fields) in [
        (&none, None, ""),
        (&none, Some(0), ""),
        (&none, Some(3), "Content-Length: 3\r\n"),
        (&seven, None, "Content-Length: 7\r\n"),
        (&seven, Some(0), "Content-Length: 7\r\n"),
    ] {
        let head = ResponseHead { request_method: &asked, body_length, ..head(headers) };
        let (text, encoder, keep_alive) = encode(&head);
        assert_eq!(text, format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
        assert_eq!((encoder, keep_alive), (BodyEncoder::Empty, true));
    }
}

#[test]
fn a_status_without_a_body_has_none_and_no_length() {
    let headers = headers(&[("content-length", "7")]);
    for (status, fields) in
        [(204, ""), (304, "Content-Length: 7\r\n"), (205, "Content-Length: 0\r\n"), (103, ""), (101, "")]
    {
        let status = StatusCode::from_u16(status).expect("a status");
        let (text, encoder, _) = encode(&ResponseHead { status, body_length: Some(7), ..head(&headers) });
        assert!(text.ends_with(&format!("\r\n{fields}\r\n")), "{text}");
        assert_eq!(text.contains("Content-Length"), !fields.is_empty(), "{text}");
        assert_eq!(encoder, BodyEncoder::Empty);
    }
    let none = HeaderMap::new();
    let not_modified = ResponseHead { status: StatusCode::NOT_MODIFIED, body_length: Some(7), ..head(&none) };
    assert_eq!(encode(&not_modified).0, "HTTP/1.1 304 Not Modified\r\n\r\n");
}

#[test]
fn a_1xx_is_no_answer_to_go_on_from() {
    let headers = headers(&[("link", "</a>")]);
    let (text, _, keep_alive) = encode(&ResponseHead { status: StatusCode::EARLY_HINTS, ..head(&headers) });
    assert_eq!(text, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    assert!(!keep_alive);
}

#[test]
fn bytes_above_ascii_go_out_as_they_came() {
    let mut headers = HeaderMap::new();
    headers.insert("x", HeaderValue::from_bytes(b"caf\xe9").expect("a value"));
    let mut out = Vec::new();
    encode_head(&mut out, &head(&headers)).expect("a valid head");
    assert!(out.windows(10).any(|line| line == b"X: caf\xe9\r\nD"));
}

/// Everything that goes out for these blocks, and whether there was an overrun.
fn wire(encoder: &mut BodyEncoder, blocks: &[&[u8]]) -> (Vec<u8>, bool) {
    let (mut wire, mut overrun) = (Vec::new(), false);
    for block in blocks {
        let framed = encoder.encode(block);
        let before = wire.len();
        wire.extend_from_slice(framed.prefix());
        wire.extend_from_slice(framed.block);
        wire.extend_from_slice(framed.suffix);
        assert_eq!(wire.len() - before, framed.wire_length());
        overrun |= framed.overrun;
    }
    (wire, overrun)
}

#[test]
fn chunks_are_framed_and_an_empty_block_does_not_end_them() {
    let mut encoder = BodyEncoder::Chunked;
    let (wire, _) = wire(&mut encoder, &[b"hello", b"", &[b'x'; 300]]);
    assert_eq!(wire, [b"5\r\nhello\r\n12c\r\n", &[b'x'; 300][..], b"\r\n"].concat());
    assert_eq!(encoder.finish(), Ok(&b"0\r\n\r\n"[..]));
}

#[test]
fn a_declared_length_cuts_what_is_too_long() {
    let mut encoder = BodyEncoder::Length(5);
    assert_eq!(wire(&mut encoder, &[b"abc", b"", b"def", b"g"]), (b"abcde".to_vec(), true));
    assert_eq!(encoder.finish(), Ok(&b""[..]));
}

#[test]
fn a_declared_length_that_is_not_reached_is_an_error() {
    let mut encoder = BodyEncoder::Length(5);
    assert_eq!(wire(&mut encoder, &[b"abc"]), (b"abc".to_vec(), false));
    assert_eq!(encoder.finish().expect_err("two are missing").missing, 2);
}

#[test]
fn no_body_goes_out_where_none_may() {
    let mut encoder = BodyEncoder::Empty;
    assert_eq!(wire(&mut encoder, &[b"abc"]), (vec![], false));
    assert_eq!(encoder.finish(), Ok(&b""[..]));
}

#[test]
fn a_body_until_close_goes_out_bare() {
    let mut encoder = BodyEncoder::UntilClose;
    assert_eq!(wire(&mut encoder, &[b"abc", b"de"]), (b"abcde".to_vec(), false));
    assert_eq!(encoder.finish(), Ok(&b""[..]));
}

#[test]
fn the_length_written_is_the_length_declared() {
    for length in ["0", "7", "18446744073709551615"] {
        let headers = headers(&[(CONTENT_LENGTH.as_str(), length)]);
        assert_eq!(encode(&head(&headers)).0, format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
    }
}

#[test]
fn a_switch_names_the_protocol_and_ends_http() {
    let fields =
        headers(&[("upgrade", "of the application"), ("connection", "close"), ("sec-websocket-accept", "x")]);
    let protocol = HeaderValue::from_static("websocket");
    let switch =
        ResponseHead { status: StatusCode::SWITCHING_PROTOCOLS, upgrade: Some(&protocol), ..head(&fields) };
    let (text, encoder, keep_alive) = encode(&switch);
    assert_eq!(
        text,
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\
         Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    assert_eq!((encoder, keep_alive), (BodyEncoder::Empty, false));
    let (text, ..) = encode(&ResponseHead { status: StatusCode::OK, ..switch });
    assert!(!text.contains("websocket\r\n"), "{text}");
}
