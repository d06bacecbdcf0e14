//! What a head costs to parse and to encode: `cargo run --release -p http1 --example cost`.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::time::Instant;

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use http1::{HeadParser, Limits, ResponseHead, encode_head};

const WRK: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n";

const BROWSER: &[u8] = b"GET /articles/2024/onions?page=2 HTTP/1.1\r\n\
Host: www.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
Accept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\n\
Connection: keep-alive\r\n\
Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
Upgrade-Insecure-Requests: 1\r\n\
Sec-Fetch-Dest: document\r\n\
Sec-Fetch-Mode: navigate\r\n\
Sec-Fetch-Site: none\r\n\
Sec-Fetch-User: ?1\r\n\r\n";

fn main() {
    println!("parse, wrk's head:            {:4} ns", parse(WRK));
    println!("parse, a browser's 12 fields: {:4} ns", parse(BROWSER));
    println!("encode, type and length:      {:4} ns", encode());
}

/// The best of several rounds, as a server does it: one buffer a connection, filled and emptied.
fn parse(head: &[u8]) -> u128 {
    let mut parser = HeadParser::new(Limits::default());
    let mut buffer = BytesMut::with_capacity(8192);
    best(|| {
        buffer.reserve(4096);
        buffer.extend_from_slice(black_box(head));
        black_box(parser.parse(&mut buffer).expect("a valid head"));
    })
}

fn encode() -> u128 {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("13"));
    let head = ResponseHead {
        status: StatusCode::OK,
        reason: Some(b"OK"),
        headers: &headers,
        body_length: Some(13),
        request_method: &Method::GET,
        request_version: Version::HTTP_11,
        keep_alive: true,
        date: b"Sun, 06 Nov 1994 08:49:37 GMT",
        server: Some("onionskin"),
        upgrade: None,
    };
    let mut out = Vec::with_capacity(1024);
    best(|| {
        out.clear();
        black_box(encode_head(black_box(&mut out), black_box(&head)).expect("a valid head"));
    })
}

fn best(mut step: impl FnMut()) -> u128 {
    const STEPS: u128 = 200_000;
    let mut round = || {
        let start = Instant::now();
        (0..STEPS).for_each(|_| step());
        start.elapsed().as_nanos() / STEPS
    };
    (0..9).map(|_| round()).min().unwrap_or_default()
}
