//! Small responses that the house itself gives.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::{Handler, Request, Response};

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

/// The handler that stands where there is no other: it answers `404 Not Found`.
pub struct NotFound;

#[async_trait]
impl Handler for NotFound {
    async fn call(&self, _: Request) -> Response {
        plain(StatusCode::NOT_FOUND, "Not Found\n")
    }
}
