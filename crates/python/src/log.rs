//! The log of the application's faults: to `sys.stderr`, with the traceback.

use http::request::Parts;
use http::{Method, Uri};
use pyo3::prelude::*;

/// The request that a fault is told of.
#[derive(Clone, Debug)]
pub(crate) struct Of {
    method: Method,
    uri: Uri,
}

impl Of {
    pub(crate) fn request(parts: &Parts) -> Self {
        Of { method: parts.method.clone(), uri: parts.uri.clone() }
    }

    /// One line that says what happened on which request, and the traceback.
    pub(crate) fn tell(&self, py: Python<'_>, what: &str, error: &PyErr) {
        let line = format!("onionskin: {what} on {} {}\n", self.method, self.uri.path());
        // With no stderr to write to there is nobody to tell.
        let _ = py
            .import("sys")
            .and_then(|sys| sys.getattr("stderr"))
            .and_then(|stderr| stderr.call_method1("write", (line,)));
        error.display(py);
    }
}
