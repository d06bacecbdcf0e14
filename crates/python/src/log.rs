//! The log of the application's faults: to `sys.stderr`, with the traceback.

use std::fmt;

use http::{Method, Uri};
use pyo3::prelude::*;

/// The request that a fault is told of.
#[derive(Clone, Debug)]
pub(crate) struct Of {
    method: Method,
    uri: Uri,
}

impl fmt::Display for Of {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.uri.path())
    }
}

impl Of {
    pub(crate) fn call(method: &Method, uri: &Uri) -> Self {
        Of { method: method.clone(), uri: uri.clone() }
    }

    /// One line that says what happened on which request, and the traceback, to `sys.stderr`.
    pub(crate) fn tell(&self, py: Python<'_>, what: &str, error: &PyErr) {
        let stderr = py.import("sys").and_then(|sys| sys.getattr("stderr")).ok();
        self.tell_at(stderr.as_ref(), what, error, py);
    }

    /// The same to `errors`, a stream; with none there is nobody to tell.
    pub(crate) fn tell_at(
        &self,
        errors: Option<&Bound<'_, PyAny>>,
        what: &str,
        error: &PyErr,
        py: Python<'_>,
    ) {
        let Some(errors) = errors else { return };
        let text = format!("onionskin: {what} on {} {}\n{}", self.method, self.uri.path(), trace(py, error));
        // A stream that can't be written to has nobody to tell either.
        let _ = errors.call_method1("write", (text,)).and_then(|_| errors.call_method0("flush"));
    }
}

/// The traceback, with the causes of the exception, as Python prints it.
fn trace(py: Python<'_>, error: &PyErr) -> String {
    let lines = py.import("traceback").and_then(|traceback| {
        let parts = (error.get_type(py), error.value(py), error.traceback(py));
        traceback.call_method1("format_exception", parts)?.extract::<Vec<String>>()
    });
    lines.map_or_else(|_| format!("{error}\n"), |lines| lines.concat())
}
