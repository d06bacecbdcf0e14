//! The log of the application's faults, with the traceback: to the error log, or to `sys.stderr` where that is the log.

use std::fmt;

use http::Method;
use onion::{Addressed, Ids, LogLevel, Record, Request};
use pyo3::prelude::*;

use crate::standard_error;

/// The request that a fault is logged for.
#[derive(Clone, Debug)]
pub(crate) struct Of {
    method: Method,
    addressed: Addressed,
    ids: Ids,
}

impl fmt::Display for Of {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.addressed.path())
    }
}

impl Of {
    /// The request that a server calls the application for.
    pub(crate) fn request(request: &Request) -> Self {
        Of { method: request.method().clone(), addressed: Addressed::of(request), ids: Ids::of(request) }
    }

    /// A request that came in through the outward door.
    pub(crate) fn call(method: &Method, addressed: Addressed) -> Self {
        Of { method: method.clone(), addressed, ids: Ids::None }
    }

    /// One line that says what happened on which request, and the traceback.
    pub(crate) fn tell(&self, py: Python<'_>, what: &str, error: &PyErr) {
        self.record(
            &format!("{what} on {self}"),
            &trace(py, error),
            |record| match standard_error::replaced(py) {
                Some(stderr) if !onion::logs_application() => {
                    if record.is_news() {
                        write_to(Some(&stderr), record);
                    }
                }
                _ => record.say(),
            },
        );
    }

    /// Says what is amiss with the request; `details` are further lines.
    pub(crate) fn say(&self, level: LogLevel, what: &str, details: &str) {
        Record { level, what, ids: Some(&self.ids), addressed: Some(&self.addressed), details }.say();
    }

    /// The same to `errors`, a stream; with none there is nobody to tell.
    pub(crate) fn tell_at(
        &self,
        errors: Option<&Bound<'_, PyAny>>,
        what: &str,
        error: &PyErr,
        py: Python<'_>,
    ) {
        self.record(&format!("{what} on {self}"), &trace(py, error), |record| write_to(errors, record));
    }

    fn record(&self, what: &str, details: &str, then: impl FnOnce(&Record<'_>)) {
        then(&Record {
            level: LogLevel::Error,
            what,
            ids: Some(&self.ids),
            addressed: Some(&self.addressed),
            details,
        });
    }
}

fn write_to(errors: Option<&Bound<'_, PyAny>>, record: &Record<'_>) {
    let Some(errors) = errors else { return };
    // A stream that can't be written to has nobody to tell either.
    let _ = errors.call_method1("write", (record.text(),)).and_then(|_| errors.call_method0("flush"));
}

/// The traceback, with the causes of the exception, as Python prints it.
pub(crate) fn trace(py: Python<'_>, error: &PyErr) -> String {
    let lines = py.import("traceback").and_then(|traceback| {
        let parts = (error.get_type(py), error.value(py), error.traceback(py));
        traceback.call_method1("format_exception", parts)?.extract::<Vec<String>>()
    });
    lines.map_or_else(|_| format!("{error}\n"), |lines| lines.concat())
}
