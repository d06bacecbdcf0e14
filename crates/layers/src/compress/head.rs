//! What a response's head says for and against compression, and what it says afterwards.

use http::StatusCode;
use http::header::{self, HeaderMap};
use onion::Response;

use super::types::MediaTypes;
use super::validators;
use crate::accept::Coding;
use crate::fields::only;

/// Whether the response is one that may be compressed, if the client wants it and it is not too short.
pub(super) fn may_be_compressed(response: &Response, types: &MediaTypes) -> bool {
    let (status, headers) = (response.status(), response.headers());
    !status.is_informational()
        && !WITHOUT_A_WHOLE_BODY.contains(&status)
        && !BOUND_TO_THE_BYTES.iter().any(|name| headers.contains_key(*name))
        && !forbids_transforming(headers)
        && only(headers, &header::CONTENT_TYPE).is_some_and(|name| types.contain(name))
}

/// The application's Content-Length; an error if it is none that makes sense.
pub(super) fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, ()> {
    if !headers.contains_key(header::CONTENT_LENGTH) {
        return Ok(None);
    }
    only(headers, &header::CONTENT_LENGTH).and_then(|length| length.parse().ok()).map(Some).ok_or(())
}

fn forbids_transforming(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|word| word.trim().eq_ignore_ascii_case("no-transform"))
}

/// Says what was done (RFC 9110 sections 8.4, 8.8.3.3 and 14.3).
pub(super) fn announce(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(header::CONTENT_ENCODING, coding.value());
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    validators::weaken(headers);
}

/// With one of these a body has to stay as it is: it is encoded or a part already, or its digest is given (RFC 9530).
const BOUND_TO_THE_BYTES: &[&str] =
    &["content-encoding", "content-range", "content-digest", "content-md5", "digest", "repr-digest"];

const WITHOUT_A_WHOLE_BODY: &[StatusCode] = &[
    StatusCode::NO_CONTENT,
    StatusCode::RESET_CONTENT,
    StatusCode::PARTIAL_CONTENT,
    StatusCode::NOT_MODIFIED,
];
