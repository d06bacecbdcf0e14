//! The leaf of the onion: a Python callable that answers requests.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use onion::{Answer, Fault, Handler, Request, Response, Subrequest, plain};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Relayed, native, relayed};
use crate::log::Of;
use crate::threads::attached;

/// A WSGI application. Clones share everything.
#[derive(Clone)]
pub(crate) struct WsgiApplication {
    application: Arc<Py<PyAny>>,
    /// How many calls have not used `write()`: from `PROOF` on they are made inline. `WRITES` once one has used it.
    without_write: Arc<AtomicU32>,
}

/// After so many calls without `write()` an application counts as one that doesn't use it.
const PROOF: u32 = 100;

const WRITES: u32 = u32::MAX;

impl WsgiApplication {
    pub(crate) fn new(application: Arc<Py<PyAny>>) -> Self {
        WsgiApplication { application, without_write: Arc::default() }
    }

    /// The Python callable.
    pub(crate) fn callable(&self) -> &Arc<Py<PyAny>> {
        &self.application
    }

    /// The call of the outward door that `request` belongs to.
    fn relayed_of(request: &Request) -> Option<Arc<Relayed>> {
        request.extensions().get::<Arc<Relayed>>().map(Arc::clone)
    }

    /// Whether its calls need a thread of their own: it uses `write()`, or that is not known yet.
    pub(crate) fn may_write(&self) -> bool {
        !(PROOF..WRITES).contains(&self.without_write.load(Ordering::Relaxed))
    }

    /// Remembers whether a call used `write()`.
    pub(crate) fn has_called(&self, wrote: bool) {
        let count = self.without_write.load(Ordering::Relaxed);
        match (wrote, count) {
            (true, _) => self.without_write.store(WRITES, Ordering::Relaxed),
            // Two at once may count as one: it is a rule of thumb.
            (false, ..PROOF) => self.without_write.store(count + 1, Ordering::Relaxed),
            (false, _) => {}
        }
    }
}

impl Handler for WsgiApplication {
    /// Calls the application: by the way that the request came in. A request of our server is answered on a thread
    /// of its runtime, one that came in through the outward door on the thread and with the environ that it has.
    fn call(&self, request: Request) -> Answer<'_> {
        if let Some(relayed) = Self::relayed_of(&request) {
            if request.extensions().get::<Subrequest>().is_some() {
                return Box::pin(relayed::call_anew(self, relayed, request));
            }
            return Box::pin(relayed::call(self, relayed, request));
        }
        native::call(self, request)
    }
}

/// The answer where nobody has said how Python is to be called.
pub(super) fn no_server() -> Response {
    let refusal = "A WSGI application needs a server or a door around it\n";
    plain(StatusCode::INTERNAL_SERVER_ERROR, refusal)
}

/// The exception that an application raised, on its way up as the [`Fault`] of the 500 that stands for it.
///
/// Our server has written it to the log by then; the outward door raises it again, for the server and the middleware
/// around it. A layer that gives another response in its place has dealt with it: then it goes to the log here.
pub(crate) struct Raised {
    error: Mutex<Option<PyErr>>,
    untold: Option<Untold>,
}

/// Where an exception is told of that nobody raises again.
pub(crate) struct Untold {
    pub(crate) of: Of,
    pub(crate) environ: Py<PyDict>,
}

/// The response that stands for an exception; one that is not in the log yet comes with its `untold`.
pub(crate) fn raised(error: PyErr, untold: Option<Untold>) -> Response {
    let mut response = plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n");
    response.extensions_mut().insert(Fault::new(Raised { error: Mutex::new(Some(error)), untold }));
    response
}

impl Raised {
    /// An exception that is in no log yet.
    pub(crate) fn untold(error: PyErr, untold: Untold) -> Self {
        Raised { error: Mutex::new(Some(error)), untold: Some(untold) }
    }

    /// The exception, for the first who asks.
    pub(crate) fn take(&self) -> Option<PyErr> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Raised {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Raised")
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the application raised")
    }
}

impl Error for Raised {}

impl Drop for Raised {
    fn drop(&mut self) {
        if let (Some(error), Some(untold)) = (self.take(), &self.untold) {
            attached(|py| {
                let errors = untold.environ.bind(py).get_item("wsgi.errors").ok().flatten();
                untold.of.tell_at(errors.as_ref(), "the application raised", &error, py);
            });
        }
    }
}
