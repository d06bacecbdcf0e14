//! Small responses that the house itself gives.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::Response;

/// The reason phrase of a status line, where it is not the registered one (RFC 9112 section 4).
///
/// Kept in the response's extensions; HTTP/2 has no reason phrases and drops it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonPhrase(pub Bytes);

/// A response of one line of text.
pub fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
