//! The outward door: a handler of the house as a WSGI application, under any server.
//!
//! It is a small executor. It polls the handler on the thread that called: at the call, and once for each step of the
//! iterable that it returns. A handler that is `Pending` because it gives way (`onion::give_way`) means "go on at the
//! next step", and the door yields `b""` if it may; one that is `Pending` otherwise means that something is slow, and the door
//! waits with the GIL released.

mod answer;
mod input;
pub(crate) mod request;
mod response;
pub(crate) mod runtime;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use onion::{Handler, Response, SpoolLimits, catch};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use tokio::runtime::Handle;

use crate::inward::Relayed;
use crate::threads::Parked;

pub(crate) use answer::Answer;
pub(crate) use input::OuterInput;

/// What a layer may change a request body into. How many there are at once is the matter of the server around us.
pub(crate) const SPOOL: SpoolLimits = SpoolLimits { memory: 64 << 10, total: 1 << 30 };

/// One call through the door.
pub(crate) struct Call {
    relayed: Arc<Relayed>,
    start_response: Py<PyAny>,
    is_head: bool,
    /// What the handler is polled within, if it needs that.
    runtime: Option<Handle>,
}

/// A response to come.
pub(crate) type Responding = Pin<Box<dyn Future<Output = Response> + Send>>;

/// `application(environ, start_response)`.
pub(crate) fn call<'py>(
    py: Python<'py>,
    handler: &Arc<dyn Handler>,
    environ: &Bound<'py, PyDict>,
    start_response: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let Some((request, relayed)) = request::read(environ)? else { return too_long(py, start_response) };
    let call = Call {
        relayed,
        start_response: start_response.clone().unbind(),
        is_head: request.method() == http::Method::HEAD,
        runtime: if handler.needs_runtime() { Some(runtime::handle()?) } else { None },
    };
    let handler = Arc::clone(handler);
    let mut responding: Responding = Box::pin(async move { handler.call(request).await });
    match call.step(py, |context| responding.as_mut().poll(context))? {
        Some(response) => call.respond(py, response),
        None => Ok(Bound::new(py, Answer::waiting(call, responding))?.into_any()),
    }
}

/// The response to a request whose target no layer can hold.
fn too_long<'py>(py: Python<'py>, start_response: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let body = b"URI Too Long\n";
    let headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "13")];
    start_response.call1(("414 URI Too Long", PyList::new(py, headers)?))?;
    Ok(PyList::new(py, [PyBytes::new(py, body)])?.into_any())
}

impl Call {
    /// Polls until there is a result (`Some`), or something asks to go on at the next step (`None`).
    /// A panic is raised as an exception that the server around us handles as it handles an application's.
    fn step<T: Send>(
        &self,
        py: Python<'_>,
        poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> PyResult<Option<T>> {
        catch(|| self.poll(py, poll)).ok_or_else(|| {
            PyRuntimeError::new_err("internal error in onionskin; the error log names the place")
        })
    }

    fn poll<T: Send>(&self, py: Python<'_>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Option<T> {
        let _within = self.runtime.as_ref().map(Handle::enter);
        let parked = Parked::new();
        let waker = Waker::from(Arc::clone(&parked));
        let mut context = Context::from_waker(&waker);
        loop {
            onion::has_given_way(); // Of an earlier poll, by whomever.
            match poll(&mut context) {
                Poll::Ready(result) => return Some(result),
                Poll::Pending if onion::has_given_way() => return None,
                Poll::Pending => py.detach(|| parked.park()),
            }
        }
    }
}
