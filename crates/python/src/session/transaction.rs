//! A session outside of a request, for the test clients of frameworks: they call an application without its server.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use layers::OpenSession;
use onion::{Answer, Body, Handler, Request, RequestExt, Response, Value};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::runtime::Handle;

use crate::classes::PyLayer;
use crate::outward::{Responding, request, runtime};
use crate::session::SessionMapping;
use crate::threads::Parked;

/// The session that a layer has for a request with this environ, until ``finish()`` saves it.
#[pyclass(frozen, module = "onionskin._core")]
pub(crate) struct SessionTransaction {
    session: Option<Py<SessionMapping>>,
    held: Arc<Held>,
    responding: Mutex<Option<Responding>>,
    runtime: Option<Handle>,
}

#[pymethods]
impl SessionTransaction {
    #[new]
    fn new(py: Python<'_>, layer: &Bound<'_, PyLayer>, environ: &Bound<'_, PyDict>) -> PyResult<Self> {
        let Some((request, _)) = request::read(environ)? else {
            return Err(PyValueError::new_err("environ: the path and query are too long"));
        };
        let held = Arc::new(Held::default());
        let handler = layer.get().around(Arc::new(Holding(Arc::clone(&held))));
        let runtime = if handler.needs_runtime() { Some(runtime::handle()?) } else { None };
        let mut responding: Responding = Box::pin(async move { handler.call(request).await });
        let within = runtime.as_ref().map(Handle::enter);
        // The application inside waits for its response.
        let polled = responding.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(within);
        let session = held.lock().session.take();
        let session = session.map(|session| Py::new(py, SessionMapping::new(session))).transpose()?;
        let responding = Mutex::new(polled.is_pending().then_some(responding));
        Ok(SessionTransaction { session, held, responding, runtime })
    }

    /// The session, or None if the layer is not there for such a request.
    #[getter]
    fn session(&self, py: Python<'_>) -> Option<Py<SessionMapping>> {
        self.session.as_ref().map(|session| session.clone_ref(py))
    }

    /// Save the session as for a response with this status and these headers, once. Returns the status and the headers
    /// that the layer makes of them.
    #[pyo3(signature = (status = 200, headers = Vec::new(), /))]
    fn finish(
        &self,
        py: Python<'_>,
        status: u16,
        headers: Vec<(String, String)>,
    ) -> PyResult<(u16, Vec<(String, String)>)> {
        let responding = self.responding.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut responding) = responding else {
            return Err(PyRuntimeError::new_err("the session has been saved already"));
        };
        self.held.lock().response = Some(response(status, headers)?);
        let _within = self.runtime.as_ref().map(Handle::enter);
        let parked = Parked::new();
        let waker = Waker::from(Arc::clone(&parked));
        let response = loop {
            match responding.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(response) => break response,
                Poll::Pending => py.detach(|| parked.park()),
            }
        };
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value)));
        Ok((response.status().as_u16(), headers.collect()))
    }
}

fn response(status: u16, given: Vec<(String, String)>) -> PyResult<Response> {
    let invalid = |what: &str| PyValueError::new_err(format!("finish: {what} is not valid in a response"));
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let field = (HeaderName::try_from(&name), HeaderValue::try_from(&value));
        let (Ok(name), Ok(value)) = field else { return Err(invalid(&name)) };
        headers.append(name, value);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| invalid(&status.to_string()))?;
    *response.headers_mut() = headers;
    Ok(response)
}

/// What a transaction and the handler inside of its layer share.
#[derive(Default)]
struct Held(Mutex<Both>);

#[derive(Default)]
struct Both {
    session: Option<Arc<OpenSession>>,
    response: Option<Response>,
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, Both> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In the place of an application: it hands its session out, and answers when it is given a response.
struct Holding(Arc<Held>);

impl Handler for Holding {
    fn call(&self, request: Request) -> Answer<'_> {
        let told = request.context().map(|context| context.told.as_slice()).unwrap_or_default();
        let session = told.iter().rev().find_map(|(_, value)| match value {
            Value::Live(live) => Arc::clone(live).downcast::<OpenSession>().ok(),
            _ => None,
        });
        self.0.lock().session = session;
        Box::pin(poll_fn(|_| self.0.lock().response.take().map_or(Poll::Pending, Poll::Ready)))
    }
}
