//! Applications that use `write()`: called on a thread of their own, so that what they write leaves while the call
//! goes on.
//!
//! The call inline (see `native`) is over before its response goes on to the layers. That is right for all but a few
//! applications, and costs half. So an application is called here until it has proved by a hundred calls that it
//! doesn't use `write()`, and for good once it has used it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::Bytes;
use onion::{Body, BodyError, Notes, Request, RequestExt, Response, Room, ThreadBound, backlog};
use pyo3::exceptions::{PyConnectionResetError, PyOSError};
use pyo3::prelude::*;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::application::{no_server, raised};
use super::head::Head;
use super::iterable::Keeper;
use super::limited::{self, in_time};
use super::native::{Arrived, Native, environ, file_body, whole_body};
use super::{AppIterable, StartResponse, WsgiApplication};
use crate::forks::{in_parent, is_forked};
use crate::log::Of;
use crate::overdue::Timed;
use crate::permits::Permit;
use crate::threads::{attached, wait};

/// Calls `application`; the response comes as soon as its head is settled.
pub(super) async fn call(
    application: &WsgiApplication,
    request: Request,
    arrived: Arrived,
    permit: Permit,
    limited: Option<Arc<Notes>>,
) -> Response {
    let callable = Arc::clone(application.callable());
    let (answer, response) = oneshot::channel();
    let wrote = Arc::new(AtomicBool::new(false));
    let Some((server, _)) = Native::of(&request) else { return no_server() };
    let room = server.room.clone();
    let outlet = Outlet {
        answer: Some(answer),
        blocks: None,
        room,
        wrote: Arc::clone(&wrote),
        limited: limited.clone(),
        is_unwanted: false,
    };
    spawn_blocking(move || {
        let notes = request.context().and_then(|context| context.notes.as_ref());
        let notes = notes.map(|notes| (Arc::clone(notes), Instant::now()));
        attached(|py| {
            if let Some((notes, wanted)) = notes {
                notes.set_interpreter(wanted.elapsed());
            }
            let mut producer =
                Producer { outlet: None, of: Of::request(&request), timed: Timed::of(&request) };
            producer.run(py, &callable, &request, arrived, permit, outlet);
            drop(callable);
        });
    });
    let response = async { response.await.ok() };
    let response = match &limited {
        Some(notes) => in_time(notes, response).await,
        None => response.await,
    };
    application.has_called(wrote.load(Ordering::Relaxed));
    // Without an answer the thread was not even begun: the server is being stopped.
    response.unwrap_or_else(|| raised(PyConnectionResetError::new_err("the server is stopping"), None))
}

/// One call on its thread.
struct Producer {
    /// None while it is in the hands of `start_response`.
    outlet: Option<Box<Outlet>>,
    of: Of,
    timed: Option<Timed>,
}

impl Producer {
    fn run(
        &mut self,
        py: Python<'_>,
        callable: &Py<PyAny>,
        request: &Request,
        arrived: Arrived,
        permit: Permit,
        outlet: Outlet,
    ) {
        let start = match Bound::new(py, StartResponse::new(Some(Box::new(outlet)))) {
            Ok(start) => start,
            Err(error) => return error.write_unraisable(py, None),
        };
        let produced = environ(py, request, arrived)
            .and_then(|environ| {
                in_parent(py, || self.of.clone(), || callable.bind(py).call1((environ, &start)))
            })
            .and_then(|iterable| {
                self.outlet = start.get().take_outlet();
                self.produce(&iterable, start.get(), permit)
            });
        let outlet = self.outlet.take().or_else(|| start.get().take_outlet());
        drop(self.timed.take());
        // What write() raises when nobody takes the response any more ends the call, and is nobody's fault.
        let is_expected = |error: &PyErr| {
            let is_unwanted = outlet.as_ref().is_some_and(|outlet| outlet.is_unwanted);
            is_unwanted && error.is_instance_of::<PyConnectionResetError>(py)
        };
        if let Some(error) = produced.as_ref().err().filter(|error| !is_expected(error)) {
            self.of.tell(py, "the application raised", error);
        }
        match (produced, outlet) {
            (_, None) => {}
            (Ok(()), Some(outlet)) => outlet.end(),
            (Err(error), Some(outlet)) => outlet.fail(error),
        }
    }

    fn produce(
        &mut self,
        iterable: &Bound<'_, PyAny>,
        start: &StartResponse,
        permit: Permit,
    ) -> PyResult<()> {
        let py = iterable.py();
        let Some(outlet) = &mut self.outlet else { return Ok(()) };
        if outlet.is_unused()
            && let Some(body) = whole_body(iterable, start)?
        {
            outlet.answer(start.send_head()?.with_body(body));
            return Ok(());
        }
        if outlet.is_unused()
            && let Some(body) = file_body(iterable, start)?
        {
            outlet.answer(start.send_head()?.with_body(body));
            return Ok(());
        }
        let keeper = Keeper::Server {
            of: self.of.clone(),
            timed: self.timed.take(),
            _permit: permit,
            _bound: ThreadBound::here(),
        };
        let mut body = AppIterable::new(iterable.clone().unbind(), keeper);
        loop {
            // What the application passes to `write()` meanwhile is sent at once.
            start.put_outlet(self.outlet.take());
            let block = body.next(py);
            self.outlet = start.take_outlet();
            let mut next = block?;
            let ended = next.is_none();
            let Some(outlet) = &mut self.outlet else { return Ok(()) };
            let mut written = start.take_written();
            while let Some(block) = written.next_block()?.or_else(|| next.take()) {
                if !block.is_empty()
                    && outlet.send(py, outlet.is_unused().then(|| start.send_head()), block)?.is_err()
                {
                    return Ok(()); // The client has gone: nobody wants the rest.
                }
            }
            if ended {
                break;
            }
        }
        let Some(outlet) = &mut self.outlet else { return Ok(()) };
        if outlet.is_unused() {
            outlet.answer(start.send_head()?.with_body(Body::empty()));
        }
        Ok(())
    }
}

/// Where a response of this kind goes out.
pub(crate) struct Outlet {
    /// Until the head is sent.
    answer: Option<oneshot::Sender<Response>>,
    /// From then on.
    blocks: Option<onion::Producer>,
    room: Room,
    /// Whether the application used `write()`.
    wrote: Arc<AtomicBool>,
    /// The notes on the request, where the time of calls is limited.
    limited: Option<Arc<Notes>>,
    /// Whether nobody takes it any more: the client has gone, or the response to a HEAD is complete.
    is_unwanted: bool,
}

/// Nobody takes the response any more.
pub(crate) struct Gone;

impl Outlet {
    /// Whether no head was sent yet.
    pub(crate) fn is_unused(&self) -> bool {
        self.answer.is_some()
    }

    /// Sends what the application wrote.
    pub(crate) fn write(
        &mut self,
        py: Python<'_>,
        head: Option<Head>,
        block: Bytes,
    ) -> PyResult<Result<(), Gone>> {
        self.wrote.store(true, Ordering::Relaxed);
        self.send(py, head.map(Ok), block)
    }

    /// Sends `block`, before it the head if that is due; waits, without the GIL, while the client is too far behind.
    fn send(
        &mut self,
        py: Python<'_>,
        head: Option<PyResult<Head>>,
        block: Bytes,
    ) -> PyResult<Result<(), Gone>> {
        if is_forked() {
            let refusal = "write: the response is sent by the process that this one was forked from";
            return Err(PyOSError::new_err(refusal));
        }
        if let Some(head) = head.transpose()? {
            let (producer, blocks) = backlog(&self.room);
            self.blocks = Some(producer);
            self.answer(head.with_body(Body::stream(blocks)));
        }
        let Some(blocks) = &mut self.blocks else { return Ok(Err(Gone)) };
        let limited = self.limited.as_deref();
        let pushed = py.detach(|| wait(limited::push(blocks, block, limited)));
        self.is_unwanted |= pushed.is_err();
        Ok(pushed.map_err(|_| Gone))
    }

    fn answer(&mut self, response: Response) {
        if let Some(answer) = self.answer.take() {
            // If nobody waits for it, the client has gone.
            let _ = answer.send(response);
        }
    }

    /// The call is over.
    fn end(self) {
        if let Some(blocks) = self.blocks {
            blocks.end();
        }
    }

    fn fail(mut self, error: PyErr) {
        if self.is_unused() {
            self.answer(raised(error, None));
        } else if let Some(blocks) = self.blocks {
            blocks.fail(BodyError::Producer(Box::new(error)));
        }
    }
}
