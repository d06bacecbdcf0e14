//! The application called by our server: inline, on the thread of the runtime that parsed the request.

use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderValue, RETRY_AFTER};
use onion::{
    Answer, Body, BodyBudget, BodyError, Context, Notes, Request, RequestExt, Response, Room, SpoolLimits,
    Spooled, TemporaryFile, ThreadBound, Trouble, plain, reuse, spool, unreadable,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use server::StopHandle;

use super::application::{no_server, raised};
use super::iterable::{Keeper, share};
use super::{AppIterable, Environ, FileWrapper, Input, StartResponse, WsgiApplication, limited, writing};
use crate::forks::in_parent;
use crate::log::Of;
use crate::overdue::{Overdue, Timed};
use crate::permits::{Permit, Permits};
use crate::threads::attached;

/// What calls in our server need; every connection carries it.
pub(crate) struct Native {
    pub(crate) permits: Arc<Permits>,
    pub(crate) environ: Environ,
    pub(crate) spool: SpoolLimits,
    /// What all request bodies may take together.
    pub(crate) bodies: BodyBudget,
    /// How far applications may be ahead of their clients.
    pub(crate) room: Room,
    /// Where the time of calls is limited.
    pub(crate) overdue: Option<Arc<Overdue>>,
    /// Calls that run apart from their connection are waited for by a stop.
    pub(crate) stop: StopHandle,
}

impl Native {
    /// What the server that a request came to needs, if it is ours; with the request's context.
    pub(crate) fn of(request: &Request) -> Option<(&Self, &Context)> {
        let context = request.context()?;
        Some((context.connection.shared.as_deref()?.downcast_ref()?, context))
    }
}

/// A request body, as far as it is there when the application is called.
pub(super) enum Arrived {
    Nothing,
    Memory(Bytes),
    File(TemporaryFile),
}

/// Calls `application`.
///
/// No `async fn`: that would move the request once more, from where it is handed in to where it is kept.
pub(super) fn call(application: &WsgiApplication, mut request: Request) -> Answer<'_> {
    Box::pin(async move {
        let Some((server, context)) = Native::of(&request) else { return no_server() };
        let permits = Arc::clone(&server.permits);
        let (notes, limits) = (context.notes.clone(), context.limits.clone());
        let limited = server.overdue.as_ref().and(notes.clone());
        let mut body = mem::take(request.body_mut());
        let arrived = match body.take_bytes() {
            Some(bytes) if bytes.is_empty() => Arrived::Nothing,
            Some(bytes) => Arrived::Memory(bytes),
            // The client is told to continue when the body is first read: not if there is no place for the call.
            None if request.headers().contains_key(EXPECT) && permits.is_full() => return crowded(),
            // Boxed, so that the common request doesn't carry the room for it.
            None => match Box::pin(arrive(body, bounds(&request))).await {
                Ok(arrived) => arrived,
                Err(error) => return refuse(&error),
            },
        };
        let wanted = notes.as_ref().map(|_| Instant::now());
        let permit = match permits.begin_now(&limits) {
            Ok(permit) => Ok(permit),
            Err(permits) => permits.acquire(limits).await,
        };
        if let (Some(notes), Some(wanted)) = (&notes, wanted) {
            notes.set_queued(wanted.elapsed());
        }
        let Ok(permit) = permit else { return crowded() };
        if application.may_write() {
            return Box::pin(writing::call(application, request, arrived, permit, limited)).await;
        }
        if let Some(notes) = limited {
            return Box::pin(call_limited(application, request, arrived, permit, notes)).await;
        }
        call_now(application, &mut request, arrived, permit, notes.as_deref())
    })
}

/// The call on this thread.
fn call_now(
    application: &WsgiApplication,
    request: &mut Request,
    arrived: Arrived,
    permit: Permit,
    notes: Option<&Notes>,
) -> Response {
    let wanted = notes.map(|_| Instant::now());
    let response = attached(|py| {
        if let (Some(notes), Some(wanted)) = (notes, wanted) {
            notes.set_interpreter(wanted.elapsed());
        }
        begin(py, application, request, arrived, permit).unwrap_or_else(|error| {
            Of::request(request).tell(py, "the application raised", &error);
            raised(error, None)
        })
    });
    reuse::give_back(mem::take(request.headers_mut()), mem::take(request.extensions_mut()));
    response
}

/// The call in a task of its own: its client is answered 504 when it takes too long.
async fn call_limited(
    application: &WsgiApplication,
    mut request: Request,
    arrived: Arrived,
    permit: Permit,
    notes: Arc<Notes>,
) -> Response {
    let Some((server, _)) = Native::of(&request) else { return no_server() };
    let (stop, room, application) = (server.stop.clone(), server.room.clone(), application.clone());
    let own = Arc::clone(&notes);
    let call = move || call_now(&application, &mut request, arrived, permit, Some(&own));
    let response = limited::apart(notes, &stop, room, call).await;
    // Without a response the task was cut off: the server is being stopped.
    response.unwrap_or_else(|| plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n"))
}

/// How much of a body is kept where, and what all of them may take.
fn bounds(request: &Request) -> (SpoolLimits, BodyBudget) {
    let (server, _) = Native::of(request).expect("only requests of our server are answered here");
    (server.spool, server.bodies.clone())
}

/// Waits for the body, so that a slow client holds no thread.
async fn arrive(body: Body, (limits, budget): (SpoolLimits, BodyBudget)) -> Result<Arrived, BodyError> {
    Ok(match spool(body, limits, &budget).await? {
        Spooled::Memory(bytes) => Arrived::Memory(bytes),
        Spooled::File(file) => Arrived::File(file),
    })
}

/// The answer to a request that there is no place for.
fn crowded() -> Response {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable\n");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
    response
}

/// When a client may come again, in seconds: a queue that was full a moment ago may be empty in the next.
const RETRY_SECONDS: &str = "1";

/// A disk that is full is so for every request.
static STORAGE: Trouble = Trouble::new();

fn refuse(error: &BodyError) -> Response {
    if let BodyError::Storage(cause) = error {
        let cause: &io::Error = cause;
        STORAGE.report(|| format!("a request body could not be stored: {cause}"));
    }
    let mut response = unreadable(error.status(), error.reason());
    if matches!(error, BodyError::Crowded) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
    }
    response
}

/// The call itself, and as much of the response as is ready.
fn begin(
    py: Python<'_>,
    application: &WsgiApplication,
    request: &Request,
    arrived: Arrived,
    permit: Permit,
) -> PyResult<Response> {
    // Dropped before anything else of Python's runs here.
    let timed = Timed::of(request);
    let environ = environ(py, request, arrived)?;
    let start = Bound::new(py, StartResponse::new(None))?;
    let call = || application.callable().bind(py).call1((environ, &start));
    let iterable = in_parent(py, || Of::request(request), call)?;
    if start.get().has_written() {
        application.has_called(true);
    }
    if let Some(body) = whole_body(&iterable, start.get())? {
        return Ok(start.get().send_head()?.with_body(body));
    }
    if let Some(body) = file_body(&iterable, start.get())? {
        return Ok(start.get().send_head()?.with_body(body));
    }
    let keeper =
        Keeper::Server { of: Of::request(request), timed, _permit: permit, _bound: ThreadBound::here() };
    stream(py, AppIterable::new(iterable.unbind(), keeper), &start, application)
}

/// The environ, with what there is of the body.
pub(super) fn environ<'py>(
    py: Python<'py>,
    request: &Request,
    arrived: Arrived,
) -> PyResult<Bound<'py, PyDict>> {
    let (server, context) = Native::of(request).expect("only requests of our server are answered here");
    let input = match arrived {
        Arrived::Nothing => None,
        Arrived::Memory(bytes) => {
            let length = bytes.len() as u64;
            Some((Bound::new(py, Input::memory(bytes))?, Some(length)))
        }
        Arrived::File(file) => {
            let length = file.length();
            Some((Bound::new(py, Input::file(file))?, Some(length)))
        }
    };
    server.environ.build(py, request, context, input)
}

/// The body, if it is all there: a list or tuple of bytes, the common answer. Neither can be closed or be waited for.
pub(super) fn whole_body(iterable: &Bound<'_, PyAny>, start: &StartResponse) -> PyResult<Option<Body>> {
    let blocks = if let Ok(list) = iterable.cast_exact::<PyList>() {
        if list.len() == 1
            && let Ok(only) = list.get_item(0)?.cast_exact::<PyBytes>()
            && !start.has_written()
        {
            return Ok(Some(share(only).into()));
        }
        list.to_tuple()
    } else if let Ok(tuple) = iterable.cast_exact::<PyTuple>() {
        tuple.clone()
    } else {
        return Ok(None);
    };
    let Some(mut whole) = start.written_in_memory() else { return Ok(None) };
    for block in blocks.iter_borrowed() {
        whole.extend_from_slice(&super::iterable::block_of(&block)?);
    }
    Ok(Some(whole.freeze().into()))
}

/// A file that the kernel can send, cut to the Content-Length that the application gave.
pub(super) fn file_body(iterable: &Bound<'_, PyAny>, start: &StartResponse) -> PyResult<Option<Body>> {
    let Ok(wrapper) = iterable.cast_exact::<FileWrapper>() else { return Ok(None) };
    if start.has_written() || !start.was_called() {
        return Ok(None);
    }
    let Some(mut range) = wrapper.get().range(wrapper.py()) else { return Ok(None) };
    let head = start.current_head()?;
    let declared = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    range.length = range.length.min(declared.unwrap_or(u64::MAX));
    let mut body = Body::file(range);
    let wrapper = wrapper.clone().unbind();
    body.on_end(move |_| {
        attached(|py| {
            if let Err(error) = wrapper.call_method0(py, "close") {
                error.write_unraisable(py, Some(wrapper.bind(py)));
            }
        });
    });
    Ok(Some(body))
}

/// A body that comes block by block. The head is held until the first block that is not empty: up to then the
/// application may still replace it.
fn stream(
    py: Python<'_>,
    mut body: AppIterable,
    starting: &Bound<'_, StartResponse>,
    application: &WsgiApplication,
) -> PyResult<Response> {
    let start = starting.get();
    let ended = loop {
        // An error closes the iterable before it is told: what close() does wrong is told by itself.
        match body.next(py)? {
            None => break true,
            Some(block) if !block.is_empty() || start.has_written() => {
                body.put_first(block);
                break false;
            }
            Some(_) => {}
        }
    };
    let head = start.send_head()?;
    let written = start.take_written();
    if !written.is_empty() {
        application.has_called(true);
    }
    if ended {
        drop(body);
        return Ok(head.with_body(written.into_body()));
    }
    body.put_before(written);
    body.follow(starting.clone().unbind());
    Ok(head.with_body(Body::foreign(body)))
}
