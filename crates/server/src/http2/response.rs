//! From a [`Response`] to one of HTTP/2. What the application says of the body's length holds here as on HTTP/1.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE, SERVER};
use http::response::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use http_body::Frame;
use http1::parts;
use onion::body::Kind;
use onion::{Body, BodyError, Response, plain, poll_give_way};

use super::stream::Course;
use crate::respond::{Label, date_now};
use crate::seeing::End;

/// The response as hyper sends it.
pub(super) fn response(response: Response, course: Course) -> http::Response<Outgoing> {
    let (mut head, mut body) = response.into_parts();
    let method = &course.label.method;
    let length = match plan(&mut head, method, &mut body) {
        Ok(length) => length,
        Err(error) => {
            course.label.report(&format!("the response to {} cannot be sent: {error}", course.label));
            (head, body) = plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n").into_parts();
            plan(&mut head, method, &mut body).unwrap_or_default()
        }
    };
    if let Some(entry) = &course.entry {
        entry.meter.answer(head.status, 0);
        entry.meter.count(0);
    }
    let whole = body.take_bytes();
    if whole.is_none() {
        *course.stream.body() = body;
    }
    let mut outgoing = Outgoing { rest: Bytes::new(), left: length, course, has_given_way: true };
    if let Some(bytes) = whole {
        outgoing.left = outgoing.left.map(|left| left.saturating_sub(bytes.len() as u64));
        if outgoing.left.is_none_or(|left| left == 0) {
            outgoing.rest = cut(bytes, length, &outgoing.course.label);
            outgoing.left = None;
            outgoing.end_if_empty();
        } else {
            outgoing.rest = bytes;
        }
    }
    head.extensions.clear();
    http::Response::from_parts(head, outgoing)
}

/// Puts the head in order. How long the body has to be, if that is known; one that is not to be sent is gone then.
fn plan(head: &mut Parts, method: &Method, body: &mut Body) -> Result<Option<u64>, &'static str> {
    if head.status.is_informational() {
        return Err("an interim status is no answer");
    }
    let declared = declared(head)?;
    let names: Vec<HeaderName> =
        head.headers.keys().filter(|name| parts::is_connection_field(name)).cloned().collect();
    for name in names {
        head.headers.remove(name);
    }
    let (length, has_body) = match head.status {
        StatusCode::NO_CONTENT => (None, false),
        StatusCode::RESET_CONTENT => (Some(0), false),
        StatusCode::NOT_MODIFIED => (declared, false),
        // An empty body says nothing here: it is what an application makes of HEAD.
        _ if method == Method::HEAD => (declared.or(body.length().filter(|length| *length > 0)), false),
        _ => (declared.or(body.length()), true),
    };
    match length {
        None => drop(head.headers.remove(CONTENT_LENGTH)),
        Some(length) => drop(head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
    }
    let date = || HeaderValue::from_bytes(&date_now()).expect("a date is visible ASCII");
    head.headers.entry(DATE).or_insert_with(date);
    head.headers.entry(SERVER).or_insert(HeaderValue::from_static("onionskin"));
    if has_body {
        return Ok(length);
    }
    *body = Body::empty();
    Ok(None)
}

/// The application's Content-Length: one field with one number, or none.
fn declared(head: &Parts) -> Result<Option<u64>, &'static str> {
    let mut given = head.headers.get_all(CONTENT_LENGTH).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(length), None) => parts::content_length(length.as_bytes())
            .map(Some)
            .ok_or("Content-Length is not one decimal number"),
        _ => Err("Content-Length is not one decimal number"),
    }
}

/// A response body, as far as the client takes it.
pub(super) struct Outgoing {
    /// What was taken of the stream's body and not given on.
    rest: Bytes,
    /// How much there is to come, where that was said.
    left: Option<u64>,
    course: Course,
    has_given_way: bool,
}

/// No frame of more than so many bytes is made: the rest waits until the client has taken it.
const MOST: usize = 64 * 1024;

/// `block`, no longer than what may come.
fn cut(mut block: Bytes, left: Option<u64>, label: &Label) -> Bytes {
    if let Some(left) = left
        && block.len() as u64 > left
    {
        label.report_overrun(true);
        block.truncate(usize::try_from(left).unwrap_or(usize::MAX));
    }
    block
}

impl Outgoing {
    fn give(&mut self) -> Frame<Bytes> {
        let block = self.rest.split_to(self.rest.len().min(MOST));
        if let Some(entry) = &self.course.entry {
            entry.meter.count(block.len());
        }
        self.course.stream.await_client(block.len());
        self.end_if_empty();
        Frame::data(block)
    }

    /// The end of a body that is known to have no more.
    fn end_if_empty(&mut self) {
        if http_body::Body::is_end_stream(self) {
            self.course.leave(End::Whole);
        }
    }

    /// What there is next, in `rest`; false at the end.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        loop {
            let stream = Arc::clone(&self.course.stream);
            let mut body = stream.body();
            if matches!(body.kind(), Kind::Foreign(foreign) if foreign.may_pause()) {
                // What was given has to leave, by the connection's task, before this thread is in a call for long.
                ready!(poll_give_way(context, &mut self.has_given_way));
            }
            let block = match ready!(http_body::Body::poll_frame(Pin::new(&mut *body), context)) {
                None if self.left.is_some_and(|left| left > 0) => {
                    let label = &self.course.label;
                    label.report(&format!(
                        "the application gave less body than its Content-Length on {label}"
                    ));
                    return Poll::Ready(Err(BodyError::Producer("too short".into())));
                }
                None => return Poll::Ready(Ok(false)),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            };
            if block.is_empty() {
                continue;
            }
            let is_overrun = self.left.is_some_and(|left| block.len() as u64 > left);
            self.rest = cut(block, self.left, &self.course.label);
            self.left = self.left.map(|left| left - self.rest.len() as u64);
            self.has_given_way = false;
            if is_overrun {
                // Whoever waits for the body's end finds that it was not taken whole.
                drop(mem::take(&mut *body));
            } else if self.left == Some(0) && matches!(body.kind(), Kind::File(_)) {
                body.complete();
            }
            return Poll::Ready(Ok(!self.rest.is_empty()));
        }
    }
}

impl Drop for Outgoing {
    /// Nobody wants the rest.
    fn drop(&mut self) {
        let rest = mem::take(&mut *self.course.stream.body());
        drop(rest);
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // hyper asks as soon as the client takes more.
        self.course.stream.client_took();
        if self.rest.is_empty() {
            match ready!(self.poll_next(context)) {
                Ok(true) => {}
                Ok(false) => {
                    self.course.leave(End::Whole);
                    return Poll::Ready(None);
                }
                Err(error) => {
                    self.course.leave(End::Failed);
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(Some(Ok(self.give())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
            && self.left.is_none_or(|left| left == 0)
            && matches!(self.course.stream.body().kind(), Kind::Empty)
    }
}
