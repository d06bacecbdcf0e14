//! One request after the other on one connection: none is served after an ambiguous one.

use bytes::BytesMut;
use http1::{BodyDecoder, Decoded, HeadParser, Limits};

#[test]
fn pipelined_requests_come_one_by_one() {
    let mut buffer = BytesMut::from("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut parser = HeadParser::new(Limits::default());
    for path in ["/1", "/2"] {
        let head = parser.parse(&mut buffer).expect("valid").expect("complete");
        assert_eq!(head.uri, path);
    }
    assert!(matches!(parser.parse(&mut buffer), Ok(None)));
}

#[test]
fn what_follows_a_body_of_length_zero_is_the_next_request() {
    let mut buffer = BytesMut::from(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let mut parser = HeadParser::new(Limits::default());
    let head = parser.parse(&mut buffer).expect("valid").expect("complete");
    assert_eq!(BodyDecoder::new(head.framing).decode(&mut buffer), Ok(Decoded::End));
    assert_eq!(parser.parse(&mut buffer).expect("valid").expect("complete").uri, "/2");
}

#[test]
fn a_body_is_not_taken_for_a_request_when_the_client_waits_for_continue() {
    let mut buffer = BytesMut::from(
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 27\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let mut parser = HeadParser::new(Limits::default());
    let head = parser.parse(&mut buffer).expect("valid").expect("complete");
    assert!(head.expect_continue);
    let mut body = BodyDecoder::new(head.framing);
    assert_eq!(body.remaining(), Some(27));
    assert_eq!(
        body.decode(&mut buffer),
        Ok(Decoded::Data("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"[..27].into()))
    );
    assert!(body.is_complete());
}

#[test]
fn nothing_is_served_after_a_refused_request() {
    let mut buffer = BytesMut::from(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nxGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    let mut parser = HeadParser::new(Limits::default());
    for _ in 0..3 {
        assert_eq!(parser.parse(&mut buffer).expect_err("refused").status, 400);
    }
}

#[test]
fn the_end_of_a_body_is_repeated_and_takes_nothing() {
    for framing in [http1::Framing::None, http1::Framing::Chunked] {
        let mut body = BodyDecoder::new(framing);
        if framing == http1::Framing::Chunked {
            assert_eq!(body.decode(&mut BytesMut::from("0\r\n\r\n")), Ok(Decoded::End));
        }
        let mut buffer = BytesMut::from("GET");
        assert_eq!(body.decode(&mut buffer), Ok(Decoded::End));
        assert_eq!(body.decode(&mut buffer), Ok(Decoded::End));
        assert_eq!(buffer, "GET");
    }
}
