//! Complete requests of hostile clients through every layer; see `fuzz/whole.rs` for what is promised.

#[path = "../../../fuzz/whole.rs"]
mod whole;

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use whole::Whole;

#[test]
fn the_slash_below_a_mount_point_may_be_encoded() {
    let whole = Whole::new();
    let status = |target: &str| whole.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    assert_eq!(status("/files/report"), [200]);
    assert_eq!(status("/files%2Freport"), [200]);
    assert_eq!(status("/files%2freport?a=%2F"), [200]);
    assert_eq!(status("/proxy%2Fx"), [200]);
}

#[test]
fn no_request_panics_or_splits() {
    let whole = Whole::new();
    let (answered, sent) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(ProptestConfig { cases: 4000, ..ProptestConfig::default() });
    runner
        .run(&requests(), |request| {
            sent.set(sent.get() + 1);
            answered.set(answered.get() + usize::from(!whole.send(&request).is_empty()));
            Ok(())
        })
        .expect("every request is answered or refused");
    let (answered, sent) = (answered.get(), sent.get());
    assert!(answered * 4 > sent, "too few were requests: {answered} of {sent}");
}

/// One to three requests, most of them well formed.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    vec(request(), 1..4).prop_map(|requests| requests.concat())
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let version = select(vec!["1.1", "1.1", "1.1", "1.1", "1.0", "1.2", "2.0"]);
    let host = prop_oneof![4 => Just(b"a".to_vec()), 1 => pieces(HOSTS, 3)];
    (method(), target(), version, host, vec(field(), 0..5), body()).prop_map(
        |(method, target, version, host, fields, body)| {
            let line = [
                &method,
                b" ".as_slice(),
                &target,
                b" HTTP/",
                version.as_bytes(),
                b"\r\nHost: ",
                &host,
                b"\r\n",
            ];
            [line.concat(), fields.concat(), body].concat()
        },
    )
}

fn method() -> impl Strategy<Value = Vec<u8>> {
    select(METHODS).prop_map(|method| method.as_bytes().to_vec())
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    let start = select(STARTS).prop_map(|start| start.as_bytes().to_vec());
    let query = prop_oneof![
        Just(Vec::new()),
        pieces(QUERIES, 5).prop_map(|query| [b"?".as_slice(), &query].concat())
    ];
    (start, pieces(PATHS, 5), query).prop_map(|(start, path, query)| [start, path, query].concat())
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        3 => pieces(VALUES, 4),
        1 => vec(prop_oneof![Just(b'\t'), b' '..=0x7e, 0x80..=0xff_u8], 0..20),
    ];
    (select(NAMES), value).prop_map(|(name, value)| [name.as_bytes(), b": ", &value, b"\r\n"].concat())
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => Just(b"\r\n".to_vec()),
        1 => Just(b"Content-Length: 5\r\n\r\nhello".to_vec()),
        1 => Just(b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello".to_vec()),
        1 => Just(b"Transfer-Encoding: chunked\r\n\r\n5 ; a = b\r\nhello\r\n0\r\nHost: b\r\n\r\n".to_vec()),
    ]
}

fn pieces(of: &'static [&'static [u8]], most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(select(of), 0..most).prop_map(|pieces| pieces.concat())
}

const METHODS: &[&str] = &[
    "GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", "-X", "!", "CONNECT",
    "PATCH",
];

const STARTS: &[&str] = &[
    "/",
    "/files",
    "/files/",
    "/static/p",
    "/proxy",
    "/kept/",
    "/balance",
    "/a/b",
    "/a%2Fb",
    "/deep",
    "/x",
    "/up",
    "/caf%C3%A9",
    "//",
    "*",
    "http://a",
    "http://a.example:8000/x",
    "https://b.example.org/",
    "HTTP://[::1]:",
    "",
];

const PATHS: &[&[u8]] = &[
    b"/",
    b"//",
    b"%2F",
    b"%2f",
    b"%5C",
    b"..",
    b".",
    b"/../",
    b"%2e%2e",
    b"%2e",
    b"report",
    b"folder",
    b"index.html",
    b"%00",
    b"%0d%0a",
    b"%0A",
    b"%7f",
    b"%",
    b"%zz",
    b"%25",
    b"%252F",
    b"%c3%a9",
    b"%e9",
    b"%ff",
    b"%c0%ae",
    b";",
    b":",
    b"@",
    b"@evil.example",
    b"a",
    b"a b",
    b"~",
    b"'",
    b"(",
    b"\\",
    b"\"",
    b"<",
    b"\xc3\xa9",
    b"\xff",
    b"|",
    b"^",
    b"[",
    b"{",
    b"+",
    b"$",
    b"&",
    b"=",
    b",",
    b".gz",
    b"%3F",
    b"%23",
    b"#",
    b"*",
];

const QUERIES: &[&[u8]] = &[
    b"a",
    b"=",
    b"&",
    b"?",
    b"/",
    b"%",
    b"%00",
    b"%0d%0a",
    b"\"",
    b"<",
    b">",
    b"\\",
    b"`",
    b"^",
    b"{",
    b"|",
    b"}",
    b"'",
    b"\xc3\xa9",
    b"\xff",
    b"\x80",
    b"#",
    b"%2F",
    b"http://b/",
    b":",
    b"@",
    b";",
    b"+",
    b"[",
    b"~",
];

const HOSTS: &[&[u8]] = &[
    b"a",
    b"a.example",
    b"x.example.org",
    b".",
    b"..",
    b":",
    b":80",
    b":8000",
    b":99999",
    b"[::1]",
    b"[",
    b"%41",
    b"%0d",
    b"%",
    b",",
    b";",
    b"@",
    b"*",
    b"'",
    b"_",
    b"\xff",
    b"",
    b"/",
    b"=",
];

const NAMES: &[&str] = &[
    "Accept",
    "Accept-Encoding",
    "Accept-Language",
    "Authorization",
    "Cache-Control",
    "Connection",
    "Content-Type",
    "Content-Encoding",
    "Cookie",
    "Cookie",
    "Forwarded",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "If-Range",
    "Keep-Alive",
    "Max-Forwards",
    "Origin",
    "Prefer",
    "Proxy",
    "Proxy-Connection",
    "Range",
    "Referer",
    "TE",
    "Trailer",
    "Upgrade",
    "User-Agent",
    "Via",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Request-ID",
    "Traceparent",
    "Tracestate",
    "X-A",
    "x_a",
    "Content-Length",
    "Transfer-Encoding",
    "Host",
    "X-CSRFToken",
];

const VALUES: &[&[u8]] = &[
    b"",
    b" ",
    b",",
    b";",
    b"=",
    b"\"",
    b"\\",
    b"*",
    b"/",
    b"*/*",
    b"text/html",
    b"gzip",
    b"br",
    b"zstd",
    b"identity",
    b";q=0",
    b";q=1.001",
    b"bytes=",
    b"0-",
    b"-0",
    b"-1",
    b"5-2",
    b"0-0,2-3,-1",
    b"18446744073709551616",
    b"-",
    b"W/",
    b"\"x\"",
    b"Sun, 06 Nov 1994 08:49:37 GMT",
    b"Sun, 32 Nov 9999 99:99:99 GMT",
    b"close",
    b"keep-alive",
    b"upgrade",
    b"websocket",
    b"x-forwarded-for",
    b"session=",
    b"sid=",
    b"AAAA",
    b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    b"00-",
    b"for=",
    b"127.0.0.1",
    b"[::1]",
    b"unknown",
    b"1.1 onionskin",
    b"http://a/",
    b"%0d%0a",
    b"\xc3\xa9",
    b"\xff",
    b"\t",
    b"chunked",
    b"0",
    b"trailers",
    b"x",
];
