//! Header names in their registered spelling.

use http::HeaderName;
use http1::names::{registered, write_registered};

#[track_caller]
fn is_spelled(spelling: &str) {
    let name = HeaderName::from_bytes(spelling.as_bytes()).expect("a name");
    assert_eq!(registered(&name), spelling);
    let mut out = b"x".to_vec();
    write_registered(&mut out, &name);
    assert_eq!(String::from_utf8_lossy(&out), format!("x{spelling}"));
}

#[test]
fn names_with_capitals_of_their_own_have_them() {
    for name in [
        "ETag",
        "WWW-Authenticate",
        "Content-MD5",
        "DNT",
        "TE",
        "X-XSS-Protection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Accept",
        "X-Request-ID",
        "X-DNS-Prefetch-Control",
        "X-UA-Compatible",
        "SourceMap",
        "DPoP",
        "Accept-CH",
        "Expect-CT",
        "NEL",
        "HTTP2-Settings",
        "SOAPAction",
    ] {
        is_spelled(name);
    }
}

#[test]
fn every_other_name_has_a_capital_after_each_dash() {
    for name in [
        "Content-Type",
        "Set-Cookie",
        "Strict-Transport-Security",
        "X-Frame-Options",
        "Link",
        "X--Y",
        "X-1a",
        "A",
        "Access-Control-Allow-Origin",
    ] {
        is_spelled(name);
    }
}
