//! The head of a response as the client gets it: checked, and without what belongs to the target's connection.

use http::header::{
    CONTENT_LENGTH, CONTENT_LOCATION, LOCATION, REFRESH, SET_COOKIE, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::request::Parts;
use http::response;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use onion::ReasonPhrase;

use super::failure::Failure;
use super::request_head::{Named, is_hop_by_hop, via};
use super::rewrite::Rewriter;

/// Refuses what could be read in two ways, or was not asked for.
pub(crate) fn check(response: &Response<Incoming>, asked: &Parts) -> Result<(), Failure> {
    let malformed = |what: &str| Err(Failure::Malformed(what.to_owned()));
    let headers = response.headers();
    if headers.contains_key(TRANSFER_ENCODING) {
        if headers.contains_key(CONTENT_LENGTH) {
            return malformed("Content-Length and Transfer-Encoding");
        }
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        let chunked = codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
        if !chunked || codings.next().is_some() {
            return malformed("a Transfer-Encoding that is not chunked");
        }
    }
    if Named::of(headers).is_none() {
        return malformed("too many connection options");
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let to = headers.get(UPGRADE).map(HeaderValue::as_bytes).unwrap_or_default();
        let wanted = asked.headers.get(UPGRADE).map(HeaderValue::as_bytes).unwrap_or_default();
        if to.is_empty() || !to.eq_ignore_ascii_case(wanted) {
            return malformed("it switches to a protocol that was not asked for");
        }
    }
    Ok(())
}

/// The head for the client, whose body is `incoming`.
pub(crate) fn of(
    head: &response::Parts,
    incoming: &Incoming,
    asked: &Parts,
    rewriter: Option<&Rewriter<'_>>,
) -> (HeaderMap, Option<ReasonPhrase>) {
    let mut headers = onion::reuse::headers();
    let named = Named::of(&head.headers).expect("it was checked");
    for (name, value) in &head.headers {
        if is_hop_by_hop(name) || named.has(name) || *name == CONTENT_LENGTH {
            continue;
        }
        let rewritten = match rewriter {
            Some(rewriter) if *name == LOCATION || *name == CONTENT_LOCATION => rewriter.location(value),
            Some(rewriter) if *name == REFRESH => rewriter.refresh(value),
            Some(rewriter) if *name == SET_COOKIE => rewriter.cookie(value),
            _ => None,
        };
        headers.append(name, rewritten.unwrap_or_else(|| value.clone()));
    }
    let bodiless = asked.method == http::Method::HEAD || head.status == StatusCode::NOT_MODIFIED;
    if bodiless {
        // What a GET would get.
        if let Some(length) = head.headers.get(CONTENT_LENGTH).filter(|length| is_decimal(length)) {
            headers.insert(CONTENT_LENGTH, length.clone());
        }
    } else if let Some(length) = incoming.size_hint().exact()
        && head.status != StatusCode::NO_CONTENT
    {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    headers.append(VIA, via(head.version));
    let reason = head.extensions.get::<hyper::ext::ReasonPhrase>();
    (headers, reason.map(|reason| ReasonPhrase(reason.as_bytes().to_vec().into())))
}

fn is_decimal(value: &HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}
