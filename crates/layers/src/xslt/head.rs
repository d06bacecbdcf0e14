//! Response heads: which ones announce a document, and what becomes of them when it is transformed.

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::response::Parts;

use super::Trouble;
use super::engine::Transformed;
use crate::media;

/// Whether there is a whole document behind this head, as it was made, that may be changed.
pub(super) fn has_document(parts: &Parts) -> bool {
    let bodiless = matches!(
        parts.status,
        StatusCode::NO_CONTENT
            | StatusCode::RESET_CONTENT
            | StatusCode::PARTIAL_CONTENT
            | StatusCode::NOT_MODIFIED
    );
    !bodiless && !is_coded(&parts.headers) && !forbids_change(&parts.headers)
}

pub(super) fn is_coded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn forbids_change(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|field| field.to_str().ok());
    let mut directives = fields.flat_map(|field| field.split(',')).map(str::trim);
    directives.any(|directive| directive.eq_ignore_ascii_case("no-transform"))
}

/// The media type of a response and its charset.
pub(super) fn content_type(headers: &HeaderMap) -> Option<(String, Option<String>)> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some((media::essence(value), media::parameter(value, "charset")))
}

/// Makes the head of what was made of its document.
pub(super) fn announce(parts: &mut Parts, made: &Transformed, keeps_validators: bool) -> Result<(), Trouble> {
    let content_type = format!("{}; charset={}", made.media_type, made.charset);
    let value = HeaderValue::try_from(content_type)
        .map_err(|_| Trouble::because(format!("{:?} of xsl:output is no media type", made.media_type)))?;
    forget_the_old_document(parts, keeps_validators);
    parts.headers.insert(header::CONTENT_TYPE, value);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(made.bytes.len()));
    Ok(())
}

/// Makes the head that answers HEAD: what a GET would get is known as far as the stylesheet tells.
pub(super) fn announce_unseen(parts: &mut Parts, media_type: Option<&str>, keeps_validators: bool) {
    forget_the_old_document(parts, keeps_validators);
    match media_type.and_then(|media_type| HeaderValue::from_str(media_type).ok()) {
        Some(value) => drop(parts.headers.insert(header::CONTENT_TYPE, value)),
        None => drop(parts.headers.remove(header::CONTENT_TYPE)),
    }
}

/// The `Accept` fields of a request.
pub(super) fn accept_of(headers: &HeaderMap) -> HeaderMap {
    headers.get_all(header::ACCEPT).iter().map(|value| (header::ACCEPT, value.clone())).collect()
}

/// Whether a client with these headers gets the result of a transformation of this media type, if only browsers do. HTML
/// is for browsers in any case.
pub(super) fn prefers_html(accept: &HeaderMap, media_type: &str) -> bool {
    // Browsers accept XHTML as gladly as HTML, and other XML less.
    let compared = if media_type == "application/xhtml+xml" { "application/xml" } else { media_type };
    media_type == super::HTML || media::weight(accept, super::HTML) > media::weight(accept, compared)
}

fn forget_the_old_document(parts: &mut Parts, keeps_validators: bool) {
    for name in ABOUT_THE_BYTES.iter().chain(&DIGESTS) {
        parts.headers.remove(name);
    }
    let tag = parts.headers.remove(header::ETAG);
    if !keeps_validators {
        parts.headers.remove(header::LAST_MODIFIED);
    } else if let Some(tag) = tag.and_then(weakened) {
        parts.headers.insert(header::ETAG, tag);
    }
}

/// An entity tag that no longer promises the same bytes (RFC 9110 section 8.8.1).
fn weakened(tag: HeaderValue) -> Option<HeaderValue> {
    if tag.as_bytes().starts_with(b"W/") {
        return Some(tag);
    }
    HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok()
}

const ABOUT_THE_BYTES: [HeaderName; 3] =
    [header::ACCEPT_RANGES, header::CONTENT_LENGTH, header::CONTENT_ENCODING];

/// `Content-MD5` is long gone from HTTP, but not from applications.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-md5"),
];
