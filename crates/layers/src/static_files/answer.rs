//! The answers: the whole file, a part of it, several, or that the client has it already.

use std::ops::Range;
use std::time::SystemTime;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use onion::{Body, Request, Response, path};

use super::found::{Form, Found};
use super::parts::Parts;
use crate::accept::Coding;
use crate::conditions::Verdict;
use crate::fields::only;
use crate::ranges::Wanted;

/// The answer to a GET or HEAD of a file. The conditions come first, then the range (RFC 9110 section 13.2.2).
pub(super) fn file(found: &Found, request: &Request, now: SystemTime) -> Response {
    let form = found.choose(request.headers());
    match form.validators().evaluate(request.method(), request.headers()) {
        Verdict::NotModified => return not_modified(found, form),
        Verdict::Failed => return refusal(found, StatusCode::PRECONDITION_FAILED, "Precondition Failed\n"),
        Verdict::Proceed => {}
    }
    if request.method() == Method::HEAD {
        let mut response = with(StatusCode::OK, &form.headers, Body::empty());
        response.headers_mut().insert(header::CONTENT_LENGTH, form.length.into());
        return response;
    }
    match wanted(form, request, now) {
        Wanted::Whole => with(StatusCode::OK, &form.headers, form.body(0, form.length)),
        Wanted::Unsatisfiable => {
            let mut response = refusal(found, StatusCode::RANGE_NOT_SATISFIABLE, "Range Not Satisfiable\n");
            response.headers_mut().insert(header::CONTENT_RANGE, value(&format!("bytes */{}", form.length)));
            response
        }
        Wanted::Parts(parts) => match &*parts {
            [part] => one(form, part),
            // Parts of a compressed form, wrapped in a body that is not compressed, are nothing that clients know.
            _ if form.coding != Coding::Identity => {
                with(StatusCode::OK, &form.headers, form.body(0, form.length))
            }
            parts => several(form, parts),
        },
    }
}

/// A folder's name lacks its slash. Where to go is told relative to the path that the client has used: it is right
/// behind any proxy, and no host can be smuggled into it.
pub(super) fn slash(request: &Request, cache_control: HeaderValue) -> Response {
    let uri = request.uri();
    let decoded = path::decode(uri.path());
    let last = decoded.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = format!("./{}/{query}", path::encode(last));
    let mut response = onion::plain(StatusCode::MOVED_PERMANENTLY, "Moved Permanently\n");
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, value(&location));
    headers.insert(header::CACHE_CONTROL, cache_control);
    response
}

/// What the request's Range field asks for, if it counts.
fn wanted(form: &Form, request: &Request, now: SystemTime) -> Wanted {
    match only(request.headers(), &header::RANGE) {
        Some(field) if form.validators().range_counts(request.headers(), now) => {
            Wanted::of(field, form.length)
        }
        _ => Wanted::Whole,
    }
}

fn one(form: &Form, part: &Range<u64>) -> Response {
    let body = form.body(part.start, part.end);
    let mut response = with(StatusCode::PARTIAL_CONTENT, &form.headers, body);
    response.headers_mut().insert(header::CONTENT_RANGE, value(&content_range(part, form.length)));
    response
}

fn several(form: &Form, parts: &[Range<u64>]) -> Response {
    let mut chance = [0; 16];
    getrandom::fill(&mut chance).expect("the kernel has random bytes");
    let boundary = format!("{:032x}", u128::from_ne_bytes(chance));
    let media_type = form.media_type.to_str().unwrap_or("application/octet-stream");
    let mut body = Parts::default();
    for part in parts {
        let range = content_range(part, form.length);
        body.push(
            format!("--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {range}\r\n\r\n").into(),
        );
        body.push(form.body(part.start, part.end));
        body.push("\r\n".into());
    }
    body.push(format!("--{boundary}--\r\n").into());
    let mut response = with(StatusCode::PARTIAL_CONTENT, &form.headers, Body::stream(body));
    let media_type = value(&format!("multipart/byteranges; boundary={boundary}"));
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

fn not_modified(found: &Found, form: &Form) -> Response {
    let mut response = with(StatusCode::NOT_MODIFIED, &found.common, Body::empty());
    response.headers_mut().insert(header::ETAG, value(&form.etag));
    response
}

/// An answer about the request rather than the file: it may not be kept as the file may be.
fn refusal(found: &Found, status: StatusCode, text: &'static str) -> Response {
    let mut response = with(status, &found.common, text.into());
    response.headers_mut().remove(header::CACHE_CONTROL);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn with(status: StatusCode, headers: &HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = onion::reuse::headers();
    response.headers_mut().extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    response
}

fn content_range(part: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", part.start, part.end - 1)
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::try_from(text).expect("what is encoded, counted or drawn is ASCII")
}
