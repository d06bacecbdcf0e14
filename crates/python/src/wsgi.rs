//! What one server tells every application: the part of environ that no request changes.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::ErrorStream;
use crate::inward::{FileWrapper, Input};
use crate::standard_error::StandardError;

/// What the server knows of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed {
    /// Whether several calls may run at once in this process.
    pub(crate) multithread: bool,
    /// Whether other processes serve the same application.
    pub(crate) multiprocess: bool,
}

impl Fixed {
    /// A dict with every key that each environ has. It has more than 21 entries on purpose: from there on CPython
    /// gives a dict (and its copies) room for some twenty more, so that the headers' keys fit in without a resize.
    pub(crate) fn template(self, py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
        let environ = PyDict::new(py);
        for key in ["REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "RAW_URI"] {
            environ.set_item(intern(py, key), "")?;
        }
        environ.set_item(intern(py, "SERVER_PROTOCOL"), "HTTP/1.1")?;
        for key in ["SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT"] {
            environ.set_item(intern(py, key), "")?;
        }
        environ.set_item(intern(py, "SERVER_SOFTWARE"), concat!("onionskin/", env!("CARGO_PKG_VERSION")))?;
        environ.set_item(intern(py, "GATEWAY_INTERFACE"), "CGI/1.1")?;
        environ.set_item(intern(py, "wsgi.version"), (1, 0))?;
        environ.set_item(intern(py, "wsgi.url_scheme"), "http")?;
        environ.set_item(intern(py, "wsgi.input"), Py::new(py, Input::empty())?)?;
        environ.set_item(intern(py, "wsgi.errors"), errors(py)?)?;
        environ.set_item(intern(py, "wsgi.multithread"), self.multithread)?;
        environ.set_item(intern(py, "wsgi.multiprocess"), self.multiprocess)?;
        environ.set_item(intern(py, "wsgi.run_once"), false)?;
        environ.set_item(intern(py, "wsgi.file_wrapper"), py.get_type::<FileWrapper>())?;
        environ.set_item(intern(py, "wsgi.input_terminated"), true)?;
        Ok(environ)
    }
}

/// The server's own log, if it has one beside standard error.
fn errors(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    if onion::logs_application() {
        Ok(Bound::new(py, ErrorStream::default())?.into_any())
    } else {
        Ok(Bound::new(py, StandardError)?.into_any())
    }
}

fn intern<'py>(py: Python<'py>, key: &str) -> Bound<'py, pyo3::types::PyString> {
    pyo3::types::PyString::intern(py, key)
}
