//! From a request of HTTP/2 to one of the house, with what HTTP/1 is asked for asked for here too.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use http_body::{Body as _, Frame, SizeHint};
use http1::{Rejection, parts};
use hyper::body::Incoming;
use onion::{Body, BodyError, Context, Request, Share, poll_give_way};

use crate::Config;
use crate::deadline::Deadline;
use crate::pace::{Pace, note_slow_body};
use crate::seeing::Meter;

/// A request whose context is not in it yet.
pub(super) struct Head {
    pub(super) request: Request,
    pub(super) context: Context,
}

/// The request that a stream has brought.
pub(super) fn request(
    parts: Parts,
    incoming: Incoming,
    held: Option<Arc<Share>>,
    config: &Config,
    facts: &Arc<onion::Connection>,
    meter: Option<&Arc<Meter>>,
) -> Result<Head, Rejection> {
    let target = parts
        .uri
        .path_and_query()
        .map_or(Bytes::new(), |target| Bytes::copy_from_slice(target.as_str().as_bytes()));
    let line = parts.method.as_str().len() + 1 + target.len() + " HTTP/2.0".len();
    if line as u64 > config.max_request_line.0 {
        return Err(Rejection::new(StatusCode::URI_TOO_LONG, "the request line is too long"));
    }
    let (uri, query_is_encoded) = parts::uri(&parts.method, &target)?;
    let mut headers = parts.headers;
    check_fields(&headers, config)?;
    set_host(&mut headers, &parts.uri)?;
    join_cookies(&mut headers);
    leave_out_underscores(&mut headers);
    let expected = headers.remove(EXPECT);
    if expected.is_some_and(|expected| !expected.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Rejection::new(StatusCode::EXPECTATION_FAILED, "unknown expectation"));
    }
    if let Some(secured) = &facts.secured {
        secured.dress(&mut headers);
    }
    let mut request = Request::new(body(incoming, held, config, &headers, meter.cloned())?);
    *request.uri_mut() = uri;
    *request.method_mut() = parts.method;
    *request.version_mut() = parts.version;
    *request.headers_mut() = headers;
    let context = Context { query_is_encoded, ..Context::new(Arc::clone(facts), target) };
    Ok(Head { request, context })
}

const BAD: StatusCode = StatusCode::BAD_REQUEST;

/// What must not come twice, and how much may come. What belongs to a connection h2 has refused.
fn check_fields(headers: &HeaderMap, config: &Config) -> Result<(), Rejection> {
    if headers.len() > usize::from(config.max_headers) {
        return Err(Rejection::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "the request has too many header fields",
        ));
    }
    for (name, refusal) in [
        (CONTENT_LENGTH, "more than one Content-Length"),
        (CONTENT_TYPE, "more than one Content-Type"),
        (HOST, "more than one Host"),
    ] {
        if headers.get_all(name).iter().nth(1).is_some() {
            return Err(Rejection::new(BAD, refusal));
        }
    }
    match headers.get(CONTENT_LENGTH).map(|length| parts::content_length(length.as_bytes())) {
        Some(None) => Err(Rejection::new(BAD, "malformed Content-Length")),
        _ => Ok(()),
    }
}

/// `:authority` is the host; a Host beside it has to be the same (RFC 9113 section 8.3.1).
fn set_host(headers: &mut HeaderMap, uri: &Uri) -> Result<(), Rejection> {
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    match (authority, headers.get(HOST)) {
        (None, None) => return Err(Rejection::new(BAD, "Host is missing")),
        (None, Some(host)) => return parts::check_host(host.as_bytes()),
        (Some(authority), Some(host)) if !host.as_bytes().eq_ignore_ascii_case(authority) => {
            return Err(Rejection::new(BAD, "Host differs from the authority of the request"));
        }
        _ => {}
    }
    let authority = authority.unwrap_or_default();
    parts::check_host(authority)?;
    let host = HeaderValue::from_bytes(authority).map_err(|_| Rejection::new(BAD, "malformed host"))?;
    headers.insert(HOST, host);
    Ok(())
}

/// Cookies may come one by one; behind HTTP/2 they are one field (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) {
        let mut joined = [first.as_bytes(), b"; ", second.as_bytes()].concat();
        for crumb in crumbs {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(crumb.as_bytes());
        }
        let joined = HeaderValue::from_maybe_shared(Bytes::from(joined)).expect("what was allowed apart");
        headers.insert(COOKIE, joined);
    }
}

/// In CGI's spelling `x_real_ip` could not be told from `x-real-ip`.
fn leave_out_underscores(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().contains('_')).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn body(
    incoming: Incoming,
    held: Option<Arc<Share>>,
    config: &Config,
    headers: &HeaderMap,
    meter: Option<Arc<Meter>>,
) -> Result<Body, Rejection> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| parts::content_length(length.as_bytes()));
    if length.is_some_and(|length| length > config.max_body.0) {
        return Ok(Body::failed(BodyError::TooLarge(config.max_body.0)));
    }
    if incoming.is_end_stream() {
        return match length {
            None | Some(0) => Ok(Body::empty()),
            Some(_) => Err(Rejection::new(BAD, "there is no body for the Content-Length")),
        };
    }
    Ok(Body::stream(Upload {
        incoming,
        _held: held,
        meter,
        received: 0,
        limit: config.max_body.0,
        pace: Pace::new(config.body_timeout.0, config.body_min_rate.0),
        deadline: None,
        has_given_way: true,
    }))
}

/// A request body on its way in. The client may send more as far as this was read.
struct Upload {
    incoming: Incoming,
    /// The connection's receive window.
    _held: Option<Arc<Share>>,
    /// Where somebody looks on.
    meter: Option<Arc<Meter>>,
    received: u64,
    limit: u64,
    pace: Pace,
    /// Set while the client is waited for.
    deadline: Option<Deadline>,
    has_given_way: bool,
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.incoming).poll_frame(context) else {
            let upload = &mut *self;
            let begin = || Deadline::new(upload.pace.begin(upload.received, Instant::now));
            ready!(upload.deadline.get_or_insert_with(begin).poll(context));
            note_slow_body();
            return Poll::Ready(Some(Err(BodyError::TimedOut)));
        };
        if self.deadline.take().is_some() {
            self.pace.end(Instant::now);
        }
        Poll::Ready(match frame {
            None => {
                // That it was taken is the connection's to tell, before this thread is in a call for long.
                ready!(poll_give_way(context, &mut self.has_given_way));
                None
            }
            Some(Err(error)) => {
                let fault = fault(&error);
                if let (BodyError::Disconnected, Some(meter)) = (&fault, &self.meter) {
                    meter.disconnect();
                }
                Some(Err(fault))
            }
            Some(Ok(frame)) => {
                self.has_given_way = false;
                let length = frame.data_ref().map_or(0, Bytes::len);
                self.received += length as u64;
                if let Some(meter) = &self.meter {
                    meter.receive(length);
                }
                if self.received > self.limit {
                    return Poll::Ready(Some(Err(BodyError::TooLarge(self.limit))));
                }
                Some(Ok(frame))
            }
        })
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Whose fault it is that there is no more: a stream that breaks the protocol is refused, any other has ended.
fn fault(error: &hyper::Error) -> BodyError {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    let broken = |cause: &h2::Error| cause.is_library() && cause.reason() == Some(h2::Reason::PROTOCOL_ERROR);
    if cause.is_some_and(broken) {
        BodyError::Malformed("its length is not the one that was announced")
    } else {
        BodyError::Disconnected
    }
}
