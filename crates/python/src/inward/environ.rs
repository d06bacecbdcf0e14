//! From a request to the environ of PEP 3333: a copy of a prepared dict, and what differs from request to request.
//!
//! Copying a dict of constants and setting what changes costs a third of filling a new one.

use std::borrow::Cow;

use http::header::{CONTENT_LENGTH, COOKIE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use onion::{Context, Ids, Request, Value, path};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::input::Input;
use super::templates::Templates;
use crate::errors::ErrorStream;
use crate::live;
use crate::strings::{HeaderKeys, ascii, latin1, told_key};
use crate::wsgi::Fixed;

/// What makes environs for the requests of one server.
pub(crate) struct Environ {
    keys: HeaderKeys,
    names: Names,
    templates: Templates,
    /// Whether what the application says is marked with the request's ids.
    marks_errors: bool,
}

impl Environ {
    /// `fixed` is what the server knows of itself.
    pub(crate) fn new(py: Python<'_>, fixed: Fixed) -> PyResult<Self> {
        let templates = Templates::new(fixed.template(py)?.unbind());
        let marks_errors = onion::logs_application();
        Ok(Environ { keys: HeaderKeys::new(py), names: Names::new(py), templates, marks_errors })
    }

    /// The environ for one request. `input` is `None` for a request without body.
    pub(crate) fn build<'py>(
        &self,
        py: Python<'py>,
        request: &Request,
        context: &Context,
        input: Option<(Bound<'py, Input>, Option<u64>)>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let environ = self.templates.of(py, &context.connection)?.bind(py).copy()?;
        let names = &self.names;
        if let Some(port) = context.connection.peer.port {
            environ.set_item(&names.remote_port, ascii(py, itoa::Buffer::new().format(port)))?;
        }
        environ.set_item(&names.request_method, names.method(py, request.method()))?;
        self.set_target(&environ, request, context)?;
        match request.version() {
            Version::HTTP_11 => {}
            Version::HTTP_10 => environ.set_item(&names.server_protocol, "HTTP/1.0")?,
            // With its minor version, which CGI asks for (RFC 3875 section 4.1.16).
            _ => environ.set_item(&names.server_protocol, "HTTP/2.0")?,
        }
        let length = match input {
            None => None,
            Some((input, length)) => {
                environ.set_item(&names.wsgi_input, input)?;
                length
            }
        };
        self.set_headers(&environ, request.headers(), length)?;
        for (key, value) in &context.told {
            set_told(&environ, key, value)?;
        }
        if self.marks_errors {
            let ids = Ids::of(request);
            if !ids.is_empty() {
                environ.set_item(&names.wsgi_errors, Bound::new(py, ErrorStream::of(ids))?)?;
            }
        }
        Ok(environ)
    }

    fn set_target(&self, environ: &Bound<'_, PyDict>, request: &Request, context: &Context) -> PyResult<()> {
        let (py, names) = (environ.py(), &self.names);
        if !context.path_is_empty {
            let path = path::decode(request.uri().path());
            environ.set_item(
                &names.path_info,
                if &*path == b"/" { names.slash(py) } else { latin1(py, &path) },
            )?;
        }
        if let Some(query) = context.query(request.uri()) {
            environ.set_item(&names.query_string, latin1(py, query))?;
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
}

/// What joins the values of a field that came several times: `; ` for Cookie (RFC 9113 section 8.2.3), else `,`.
pub(crate) fn joiner(name: &HeaderName) -> &'static [u8] {
    if name == COOKIE { b"; " } else { b"," }
}

/// Puts what a layer told the application into environ.
#[expect(clippy::ptr_arg, reason = "it matters whether it is borrowed")]
pub(crate) fn set_told(environ: &Bound<'_, PyDict>, key: &Cow<'static, str>, value: &Value) -> PyResult<()> {
    let key = told_key(environ.py(), key);
    match value {
        Value::Text(text) => environ.set_item(key, text),
        Value::Header(value) => environ.set_item(key, latin1(environ.py(), value.as_bytes())),
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
    remote_port: Py<PyString>,
    script_name: Py<PyString>,
    path_info: Py<PyString>,
    query_string: Py<PyString>,
    request_uri: Py<PyString>,
    raw_uri: Py<PyString>,
    server_protocol: Py<PyString>,
    wsgi_input: Py<PyString>,
    wsgi_errors: Py<PyString>,
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
            remote_port: intern("REMOTE_PORT"),
            script_name: intern("SCRIPT_NAME"),
            path_info: intern("PATH_INFO"),
            query_string: intern("QUERY_STRING"),
            request_uri: intern("REQUEST_URI"),
            raw_uri: intern("RAW_URI"),
            server_protocol: intern("SERVER_PROTOCOL"),
            wsgi_input: intern("wsgi.input"),
            wsgi_errors: intern("wsgi.errors"),
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
