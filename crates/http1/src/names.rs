//! Header names in their registered spelling, which is how people and old clients expect to see them.
//!
//! ```
//! use http::header;
//! assert_eq!(http1::names::registered(&header::ETAG), "ETag");
//! assert_eq!(http1::names::registered(&header::CONTENT_TYPE), "Content-Type");
//! ```
//!
//! Names are case-insensitive (RFC 9110 section 5.1): the spelling is a courtesy, and never decides anything.

use std::borrow::Cow;

use http::{HeaderName, header};

/// Writes the name at the end of `out`, as [`registered`] spells it.
pub fn write_registered(out: &mut Vec<u8>, name: &HeaderName) {
    if let Some((_, spelled)) = USUAL.iter().find(|(usual, _)| usual == name) {
        out.extend_from_slice(spelled);
        return;
    }
    let name = name.as_str();
    if let Some(known) = known(name) {
        out.extend_from_slice(known.as_bytes());
        return;
    }
    let start = out.len();
    out.extend_from_slice(name.as_bytes());
    capitalise(&mut out[start..]);
}

/// The name as it is registered: from a table for names with capitals of their own and the most common ones,
/// with a capital after each dash for the rest.
pub fn registered(name: &HeaderName) -> Cow<'static, str> {
    let name = name.as_str();
    if let Some(known) = known(name) {
        return Cow::Borrowed(known);
    }
    let mut capital = true;
    Cow::Owned(
        name.chars()
            .map(|letter| {
                let spelled = if capital { letter.to_ascii_uppercase() } else { letter };
                capital = letter == '-';
                spelled
            })
            .collect(),
    )
}

/// What is in nearly every response: two numbers are compared here, not two texts.
static USUAL: [(HeaderName, &[u8]); 6] = [
    (header::CONTENT_TYPE, b"Content-Type"),
    (header::CONTENT_LENGTH, b"Content-Length"),
    (header::SET_COOKIE, b"Set-Cookie"),
    (header::VARY, b"Vary"),
    (header::LOCATION, b"Location"),
    (header::CACHE_CONTROL, b"Cache-Control"),
];

fn capitalise(name: &mut [u8]) {
    let mut capital = true;
    for byte in name {
        if capital {
            byte.make_ascii_uppercase();
        }
        capital = *byte == b'-';
    }
}

/// The table, by length first: one jump, then a few comparisons.
fn known(name: &str) -> Option<&'static str> {
    let candidates: &[&'static str] = match name.len() {
        2 => &["IM", "TE"],
        3 => &["DAV", "DNT", "DPR", "ECT", "NEL", "P3P", "RTT", "TCN", "TTL"],
        4 => &["A-IM", "ALPN", "Date", "DPoP", "ETag", "SLUG", "Vary"],
        6 => &["OSCORE", "Server"],
        7 => &["Sec-GPC"],
        8 => &["CDN-Loop", "Location"],
        9 => &["Accept-CH", "Expect-CT", "Sec-CH-UA", "SourceMap"],
        10 => &["Content-ID", "DPoP-Nonce", "Set-Cookie", "SOAPAction"],
        11 => &["Content-DPR", "Content-MD5", "Critical-CH"],
        12 => &["Content-Type", "MIME-Version", "X-Request-ID"],
        13 => &["Last-Event-ID"],
        14 => &["Content-Length", "HTTP2-Settings"],
        15 => &["X-UA-Compatible"],
        16 => &["WWW-Authenticate", "X-Correlation-ID", "X-XSS-Protection"],
        17 => &["CDN-Cache-Control", "Sec-WebSocket-Key"],
        20 => &["Sec-WebSocket-Accept"],
        21 => &["Sec-WebSocket-Version"],
        22 => &["Sec-WebSocket-Protocol", "X-DNS-Prefetch-Control"],
        24 => &["Sec-WebSocket-Extensions"],
        _ => return None,
    };
    candidates.iter().copied().find(|known| known.eq_ignore_ascii_case(name))
}
