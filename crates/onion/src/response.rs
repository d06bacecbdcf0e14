//! Small responses that the house itself gives.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use crate::{Answer, Handler, Request, Response, answer};

/// The reason phrase of a status line, where it is not the registered one (RFC 9112 section 4).
///
/// Kept in the response's extensions; HTTP/2 has no reason phrases and drops it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReasonPhrase(pub Bytes);

/// Marks a response in whose body nothing stands but what its status says: a layer or a door gave it in the
/// application's place. Whoever words errors (`Errors`) may word it anew.
///
/// Kept in the response's extensions. Answers of an application, or of a server behind us, do not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal;

/// A response of one line of text; a [`Refusal`].
pub fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.extensions_mut().insert(Refusal);
    response
}

/// The answer to a request whose call into the application took longer than `request_timeout`.
pub fn timed_out() -> Response {
    plain(StatusCode::GATEWAY_TIMEOUT, "Gateway Timeout\n")
}

/// The response to a request whose body cannot be read; a [`Refusal`].
pub fn unreadable(status: StatusCode, reason: &'static str) -> Response {
    let mut response = plain(status, reason);
    *response.body_mut() = format!("{reason}\n").into();
    response
}

/// The handler that stands where there is no other: it answers `404 Not Found`.
pub struct NotFound;

impl Handler for NotFound {
    fn call(&self, _: Request) -> Answer<'_> {
        answer(plain(StatusCode::NOT_FOUND, "Not Found\n"))
    }
}
