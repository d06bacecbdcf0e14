//! The application called behind the outward door: on the thread that the server around us called on, with the
//! environ dict of that server.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use onion::{
    Addressed, Body, BodyBudget, Connection, Context, Ids, Request, RequestExt, Response, Spooled, give_way,
    spool, unreadable,
};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::application::{Untold, raised};
use super::environ::{joiner, set_told};
use super::iterable::{CloseFault, Keeper};
use super::templates::set_connection;
use super::{AppIterable, Input, StartResponse, WsgiApplication};
use crate::changes::HeaderChanges;
use crate::errors::ErrorStream;
use crate::forks::in_parent;
use crate::log::Of;
use crate::outward::{OuterInput, SPOOL};
use crate::strings::{key_of, latin1};

/// A call that came in through the outward door, as the application's end of the onion needs it.
pub(crate) struct Relayed {
    pub(crate) environ: Py<PyDict>,
    /// The request as it came in: what differs from it now was changed by a layer.
    pub(crate) before: Before,
    /// The `start_response` that the application got, for the door.
    pub(crate) start: Mutex<Option<Py<StartResponse>>>,
    pub(crate) close_fault: CloseFault,
    /// The application that a dispatcher has chosen.
    pub(crate) application: OnceLock<Arc<str>>,
}

/// A request's head as the outward door read it.
pub(crate) struct Before {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) script_name: Bytes,
    pub(crate) path_is_empty: bool,
    pub(crate) connection: Arc<Connection>,
}

/// Calls `application`.
pub(super) async fn call(application: &WsgiApplication, relayed: Arc<Relayed>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(name) = parts.extensions.get::<Context>().and_then(|context| context.application.clone()) {
        // It is called once.
        let _ = relayed.application.set(name);
    }
    // A body that a layer has changed has to be there before the application asks for it.
    let replaced = match body.into_untouched::<OuterInput>() {
        Ok(_) => None,
        Err(body) => match spool(body, SPOOL, &BodyBudget::unlimited()).await {
            Ok(spooled) => Some(spooled),
            Err(error) => return unreadable(error.status(), error.reason()),
        },
    };
    let begun = Python::attach(|py| begin(py, application, &relayed, &parts, replaced));
    let (body, start) = match begun {
        Ok(begun) => begun,
        Err(error) => return failed(&relayed, error),
    };
    finish(body, &start).await.unwrap_or_else(|error| failed(&relayed, error))
}

/// Calls `application` for a request that a layer made: with an environ of its own, for the application has changed
/// that of the client's request.
pub(super) async fn call_anew(
    application: &WsgiApplication,
    relayed: Arc<Relayed>,
    request: Request,
) -> Response {
    match Python::attach(|py| relayed.anew(py, &request)) {
        Ok(own) => call(application, Arc::new(own), request).await,
        Err(error) => failed(&relayed, error),
    }
}

fn begin(
    py: Python<'_>,
    application: &WsgiApplication,
    relayed: &Arc<Relayed>,
    parts: &Parts,
    replaced: Option<Spooled>,
) -> PyResult<(AppIterable, Py<StartResponse>)> {
    let environ = relayed.environ.bind(py);
    relayed.before.update(environ, parts)?;
    match replaced {
        None => {}
        Some(Spooled::Memory(bytes)) => environ.set_item("wsgi.input", Py::new(py, Input::memory(bytes))?)?,
        Some(Spooled::File(file)) => environ.set_item("wsgi.input", Py::new(py, Input::file(file))?)?,
    }
    let start = Bound::new(py, StartResponse::new(None))?;
    *relayed.start.lock().unwrap_or_else(PoisonError::into_inner) = Some(start.clone().unbind());
    let call = || application.callable().bind(py).call1((environ, &start));
    let iterable = in_parent(py, || relayed.untold(py).of, call)?;
    let keeper = Keeper::Outside { relayed: Arc::clone(relayed) };
    Ok((AppIterable::new(iterable.unbind(), keeper), start.unbind()))
}

/// Waits for the head. An application may call `start_response` as late as with its first block that is not empty:
/// each step of its iterable is one step of ours.
async fn finish(mut body: AppIterable, start: &Py<StartResponse>) -> PyResult<Response> {
    while !start.get().was_called() {
        // The door returns its iterable, and comes back with the first step.
        give_way().await;
        // An error closes the iterable before it is told: what close() does wrong is told by itself.
        match Python::attach(|py| body.next(py))? {
            Some(block) if block.is_empty() && !start.get().was_called() => {}
            Some(block) => {
                body.put_first(block);
                break;
            }
            None => {
                drop(body);
                let written = start.get().take_written();
                return Ok(start.get().current_head()?.with_body(written.into_body()));
            }
        }
    }
    body.put_before(start.get().take_written());
    body.follow(Python::attach(|py| start.clone_ref(py)));
    Ok(start.get().offer_head()?.with_body(Body::foreign(body)))
}

/// The response that stands for what the application raised: for the door to raise again, or for the log.
fn failed(relayed: &Relayed, error: PyErr) -> Response {
    raised(error, Some(Python::attach(|py| relayed.untold(py))))
}

impl Relayed {
    /// Where exceptions of this call are told of that nobody raises again.
    pub(super) fn untold(&self, py: Python<'_>) -> Untold {
        let before = &self.before;
        let (host, application) = (before.headers.get(HOST).cloned(), self.application.get().cloned());
        let addressed = Addressed::at(&before.script_name, &before.uri, host, application);
        let of = Of::call(&before.method, addressed);
        Untold { of, environ: self.environ.clone_ref(py) }
    }
}

impl Relayed {
    /// That of a request that a layer made. It has what the server says of itself and of the connection, and nothing
    /// of the client's request or of what the application has added.
    fn anew(&self, py: Python<'_>, request: &Request) -> PyResult<Self> {
        let environ = PyDict::new(py);
        for (key, value) in self.environ.bind(py).iter() {
            let Ok(name) = key.extract::<&str>() else { continue };
            let is_servers = name.starts_with("wsgi.") || !name.contains(|c: char| c.is_ascii_lowercase());
            if is_servers && !name.starts_with("HTTP_") && !OF_THE_REQUEST.contains(&name) {
                environ.set_item(key, value)?;
            }
        }
        let context = request.context().cloned().unwrap_or_default();
        let path = if context.path_is_empty { "" } else { request.uri().path() };
        environ.set_item("REQUEST_METHOD", request.method().as_str())?;
        environ.set_item("SCRIPT_NAME", latin1(py, &context.script_name))?;
        environ.set_item("PATH_INFO", latin1(py, &onion::path::decode(path)))?;
        environ.set_item("QUERY_STRING", latin1(py, request.uri().query().unwrap_or_default().as_bytes()))?;
        for key in ["REQUEST_URI", "RAW_URI"] {
            if self.environ.bind(py).contains(key)? {
                environ.set_item(key, latin1(py, &context.target))?;
            }
        }
        environ.set_item("wsgi.input", Py::new(py, Input::memory(Bytes::new()))?)?;
        let before = Before {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: HeaderMap::new(),
            script_name: context.script_name,
            path_is_empty: context.path_is_empty,
            connection: context.connection,
        };
        let (start, close_fault) = (Mutex::new(None), CloseFault::default());
        let application = OnceLock::new();
        Ok(Relayed { environ: environ.unbind(), before, start, close_fault, application })
    }
}

/// The keys of environ that tell of one request, or of who sent it.
const OF_THE_REQUEST: [&str; 12] = [
    "AUTH_TYPE",
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "QUERY_STRING",
    "RAW_URI",
    "REMOTE_USER",
    "REQUEST_METHOD",
    "REQUEST_URI",
    "SCRIPT_NAME",
    "wsgi.input",
];

impl Before {
    /// Does to environ what layers did to the request.
    fn update(&self, environ: &Bound<'_, PyDict>, parts: &Parts) -> PyResult<()> {
        let py = environ.py();
        if parts.method != self.method {
            environ.set_item("REQUEST_METHOD", parts.method.as_str())?;
        }
        let path_is_empty = parts.extensions.get::<Context>().is_some_and(|context| context.path_is_empty);
        if parts.uri != self.uri || path_is_empty != self.path_is_empty {
            let path = if path_is_empty { "" } else { parts.uri.path() };
            environ.set_item("PATH_INFO", latin1(py, &onion::path::decode(path)))?;
        }
        // The URI may spell it in another way than the server around us: unless a layer has changed it, it stays.
        if parts.uri.query() != self.uri.query() {
            environ.set_item("QUERY_STRING", latin1(py, parts.uri.query().unwrap_or_default().as_bytes()))?;
        }
        for (name, values) in HeaderChanges::between(&self.headers, &parts.headers).iter() {
            let key = key_of(name);
            let joined =
                values.iter().map(http::HeaderValue::as_bytes).collect::<Vec<_>>().join(joiner(name));
            match values {
                [] if environ.contains(&key)? => environ.del_item(&key)?,
                [] => {}
                _ => environ.set_item(&key, latin1(py, &joined))?,
            }
        }
        let Some(context) = parts.extensions.get::<Context>() else { return Ok(()) };
        if context.script_name != self.script_name {
            environ.set_item("SCRIPT_NAME", latin1(py, &context.script_name))?;
        }
        if !Arc::ptr_eq(&context.connection, &self.connection) {
            set_connection(environ, &context.connection)?;
        }
        for (key, value) in &context.told {
            set_told(environ, key, value)?;
        }
        if context.told.is_empty() {
            return Ok(());
        }
        ErrorStream::mark(environ, Ids::told_in(context))
    }
}
