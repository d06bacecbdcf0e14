//! The leaf of the onion: a Python callable that answers requests.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use onion::{Handler, Request, RequestExt, Response, plain};
use pyo3::prelude::*;

use super::{Native, Relayed, native, relayed};

/// A WSGI application.
pub(crate) struct WsgiApplication {
    application: Arc<Py<PyAny>>,
    /// It has been seen to use `write()`.
    writes: AtomicBool,
}

impl WsgiApplication {
    pub(crate) fn new(application: Py<PyAny>) -> Self {
        WsgiApplication { application: Arc::new(application), writes: AtomicBool::new(false) }
    }

    /// The Python callable.
    pub(crate) fn callable(&self) -> &Arc<Py<PyAny>> {
        &self.application
    }

    /// Whether its calls need a thread of their own.
    pub(crate) fn writes(&self) -> bool {
        self.writes.load(Ordering::Relaxed)
    }

    /// Remembers that it used `write()`.
    pub(crate) fn remember_that_it_writes(&self) {
        self.writes.store(true, Ordering::Relaxed);
    }
}

// Written out, not by `async_trait`: one future less around the call.
impl Handler for WsgiApplication {
    /// Calls the application: by the way that the request came in. A request of our server is answered on a thread
    /// of its runtime, one that came in through the outward door on the thread and with the environ that it has.
    fn call<'a, 'f>(&'a self, request: Request) -> Pin<Box<dyn Future<Output = Response> + Send + 'f>>
    where
        'a: 'f,
        Self: 'f,
    {
        let shared = request.context().and_then(|context| context.connection.shared.clone());
        if let Some(Ok(server)) = shared.map(Arc::downcast::<Native>) {
            return Box::pin(native::call(self, server, request));
        }
        if let Some(relayed) = request.extensions().get::<Arc<Relayed>>() {
            return Box::pin(relayed::call(self, Arc::clone(relayed), request));
        }
        let refusal = "A WSGI application needs a server or a door around it\n";
        Box::pin(ready(plain(StatusCode::INTERNAL_SERVER_ERROR, refusal)))
    }
}

/// The exception that an application raised, on its way up with the 500 that stands for it.
///
/// Our server has written it to the log by then; the outward door raises it again, for the server and the middleware
/// around it. A layer that gives another response in its place has dealt with it.
#[derive(Clone)]
pub(crate) struct Raised(Arc<Mutex<Option<PyErr>>>);

/// The response that stands for an exception.
pub(crate) fn raised(error: PyErr) -> Response {
    let mut response = plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n");
    response.extensions_mut().insert(Raised(Arc::new(Mutex::new(Some(error)))));
    response
}

impl Raised {
    /// The exception, for the first who asks.
    pub(crate) fn take(&self) -> Option<PyErr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
