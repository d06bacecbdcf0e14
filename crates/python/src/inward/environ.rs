//! From a request to the environ of PEP 3333: a copy of a prepared dict, and what differs from request to request.
//!
//! Copying a dict of constants and setting what changes costs a third of filling a new one; the dict that is
//! copied is prepared once a connection, with the client's address.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, COOKIE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use onion::{Connection, Context, Peer, Value, path};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::input::Input;
use crate::live;
use crate::strings::{HeaderKeys, latin1};
use crate::wsgi::Fixed;

/// What makes environs for the requests of one server.
pub(crate) struct Environ {
    keys: HeaderKeys,
    names: Names,
    /// What is the same for all requests.
    template: Py<PyDict>,
}

/// The dict of one connection.
struct Prepared(Py<PyDict>);

impl Environ {
    /// `fixed` is what the server knows of itself.
    pub(crate) fn new(py: Python<'_>, fixed: Fixed) -> PyResult<Self> {
        let template = fixed.template(py)?;
        Ok(Environ { keys: HeaderKeys::new(py), names: Names::new(py), template: template.unbind() })
    }

    /// The environ for one request. `input` is `None` for a request without body.
    pub(crate) fn build<'py>(
        &self,
        py: Python<'py>,
        parts: &Parts,
        context: &Context,
        input: Option<(Bound<'py, Input>, Option<u64>)>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let environ = self.prepared(py, &context.connection)?.bind(py).copy()?;
        let names = &self.names;
        environ.set_item(&names.request_method, names.method(py, &parts.method))?;
        self.set_target(&environ, parts, context)?;
        if parts.version == Version::HTTP_10 {
            environ.set_item(&names.server_protocol, "HTTP/1.0")?;
        }
        let length = match input {
            None => None,
            Some((input, length)) => {
                environ.set_item(&names.wsgi_input, input)?;
                length
            }
        };
        self.set_headers(&environ, &parts.headers, length)?;
        for (key, value) in &context.told {
            set_told(&environ, key, value)?;
        }
        Ok(environ)
    }

    fn set_target(&self, environ: &Bound<'_, PyDict>, parts: &Parts, context: &Context) -> PyResult<()> {
        let (py, names) = (environ.py(), &self.names);
        if !context.path_is_empty {
            let path = path::decode(parts.uri.path());
            environ.set_item(
                &names.path_info,
                if &*path == b"/" { names.slash(py) } else { latin1(py, &path) },
            )?;
        }
        if let Some(query) = parts.uri.query() {
            environ.set_item(&names.query_string, latin1(py, query.as_bytes()))?;
        }
        if !context.script_name.is_empty() {
            environ.set_item(&names.script_name, latin1(py, &context.script_name))?;
        }
        let target = if &*context.target == b"/" { names.slash(py) } else { latin1(py, &context.target) };
        environ.set_item(&names.request_uri, &target)?;
        environ.set_item(&names.raw_uri, &target)
    }

    /// `HTTP_*`. Duplicates are joined.
    fn set_headers(
        &self,
        environ: &Bound<'_, PyDict>,
        headers: &HeaderMap,
        length: Option<u64>,
    ) -> PyResult<()> {
        let py = environ.py();
        let mut headers = headers.iter().peekable();
        while let Some((name, value)) = headers.next() {
            let again = |next: Option<&(&HeaderName, &HeaderValue)>| next.is_some_and(|next| next.0 == name);
            if length.is_some() && (name == CONTENT_LENGTH || name == TRANSFER_ENCODING) {
                continue;
            }
            if !again(headers.peek()) {
                environ.set_item(self.keys.get(py, name), latin1(py, value.as_bytes()))?;
                continue;
            }
            let mut joined = value.as_bytes().to_vec();
            while again(headers.peek()) {
                joined.extend_from_slice(joiner(name));
                joined.extend_from_slice(headers.next().map_or(b"", |(_, value)| value.as_bytes()));
            }
            environ.set_item(self.keys.get(py, name), latin1(py, &joined))?;
        }
        if let Some(length) = length {
            // The body has arrived: however it was framed on the wire, its length is known now.
            environ.set_item(self.keys.get(py, &CONTENT_LENGTH), length.to_string())?;
        }
        Ok(())
    }

    /// The connection's dict, made with its first request that reaches Python.
    fn prepared<'a>(&self, py: Python<'_>, connection: &'a Arc<Connection>) -> PyResult<&'a Py<PyDict>> {
        if connection.kept.get().is_none() {
            let environ = self.template.bind(py).copy()?;
            set_connection(&environ, connection)?;
            // Whoever was first has made the same.
            let _ = connection.kept.set(Box::new(Prepared(environ.unbind())));
        }
        let kept = connection.kept.get().and_then(|kept| kept.downcast_ref::<Prepared>());
        Ok(&kept.expect("only this door keeps something with a connection of our server").0)
    }
}

/// What joins the values of a field that came several times: `; ` for Cookie (RFC 9113 section 8.2.3), else `,`.
pub(crate) fn joiner(name: &HeaderName) -> &'static [u8] {
    if name == COOKIE { b"; " } else { b"," }
}

/// The keys that tell of the connection.
pub(crate) fn set_connection(environ: &Bound<'_, PyDict>, connection: &Connection) -> PyResult<()> {
    let Peer { address, port } = connection.peer;
    environ.set_item("REMOTE_ADDR", address.map_or(String::new(), |address: IpAddr| address.to_string()))?;
    environ.set_item("REMOTE_PORT", port.map_or(String::new(), |port| port.to_string()))?;
    environ.set_item("wsgi.url_scheme", connection.scheme.as_str())?;
    let Peer { address, port } = connection.local;
    // Never empty (PEP 3333): a Unix socket has no address of its own.
    environ.set_item("SERVER_NAME", address.map_or("localhost".to_owned(), |address| address.to_string()))?;
    environ.set_item("SERVER_PORT", port.map_or("80".to_owned(), |port| port.to_string()))
}

/// Puts what a layer told the application into environ.
pub(crate) fn set_told(environ: &Bound<'_, PyDict>, key: &str, value: &Value) -> PyResult<()> {
    match value {
        Value::Text(text) => environ.set_item(key, text),
        Value::Flag(flag) => environ.set_item(key, flag),
        Value::Integer(integer) => environ.set_item(key, integer),
        Value::Live(live) => match live::object(environ.py(), live)? {
            Some(object) => environ.set_item(key, object),
            None => Ok(()),
        },
    }
}

/// The keys and values that come up in every request, as interned strings.
struct Names {
    request_method: Py<PyString>,
    script_name: Py<PyString>,
    path_info: Py<PyString>,
    query_string: Py<PyString>,
    request_uri: Py<PyString>,
    raw_uri: Py<PyString>,
    server_protocol: Py<PyString>,
    wsgi_input: Py<PyString>,
    slash: Py<PyString>,
    get: Py<PyString>,
    post: Py<PyString>,
    head: Py<PyString>,
}

impl Names {
    fn new(py: Python<'_>) -> Self {
        let intern = |text| PyString::intern(py, text).unbind();
        Names {
            request_method: intern("REQUEST_METHOD"),
            script_name: intern("SCRIPT_NAME"),
            path_info: intern("PATH_INFO"),
            query_string: intern("QUERY_STRING"),
            request_uri: intern("REQUEST_URI"),
            raw_uri: intern("RAW_URI"),
            server_protocol: intern("SERVER_PROTOCOL"),
            wsgi_input: intern("wsgi.input"),
            slash: intern("/"),
            get: intern("GET"),
            post: intern("POST"),
            head: intern("HEAD"),
        }
    }

    fn slash<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        self.slash.bind(py).clone()
    }

    fn method<'py>(&self, py: Python<'py>, method: &Method) -> Bound<'py, PyString> {
        match *method {
            Method::GET => self.get.bind(py).clone(),
            Method::POST => self.post.bind(py).clone(),
            Method::HEAD => self.head.bind(py).clone(),
            _ => latin1(py, method.as_str().as_bytes()),
        }
    }
}
