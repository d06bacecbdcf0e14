//! The leaf of the onion: a Python callable that answers requests.

use http::StatusCode;
use onion::{Handler, Request, RequestExt, Response, async_trait, plain};
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Native, Relayed, native, relayed};

/// A WSGI application.
pub(crate) struct WsgiApplication {
    application: Py<PyAny>,
}

impl WsgiApplication {
    pub(crate) fn new(application: Py<PyAny>) -> Self {
        WsgiApplication { application }
    }

    /// The Python callable.
    pub(crate) fn callable(&self) -> &Py<PyAny> {
        &self.application
    }
}

#[async_trait]
impl Handler for WsgiApplication {
    /// Calls the application: by the way that the request came in. A request of our server is answered on a thread
    /// of its runtime, one that came in through the outward door on the thread and with the environ that it has.
    async fn call(&self, request: Request) -> Response {
        if let Some(relayed) = request.extensions().get::<Arc<Relayed>>() {
            return relayed::call(self, Arc::clone(relayed), request).await;
        }
        let shared = request.context().and_then(|context| context.connection.shared.clone());
        match shared.map(Arc::downcast::<Native>) {
            Some(Ok(server)) => native::call(self, server, request).await,
            _ => plain(StatusCode::INTERNAL_SERVER_ERROR, "A WSGI application needs a server or a door around it\n"),
        }
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
