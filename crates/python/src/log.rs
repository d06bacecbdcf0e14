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
        self.record(what, py, error, |record| match standard_error::replaced(py) {
            Some(stderr) if !onion::logs_application() => {
                if record.is_news() {
                    write_to(Some(&stderr), record);
                }
            }
            _ => record.say(),
        });
    }

    /// Says what is amiss with the request; `details` are further lines.
    #[track_caller]
    pub(crate) fn say(&self, level: LogLevel, what: &str, details: &str) {
        let (ids, addressed, request) = (Some(&self.ids), Some(&self.addressed), &*self.to_string());
        Record { ids, addressed, details, request, ..Record::new(level, what) }.say();
    }

    /// The same to `errors`, a stream; with none there is nobody to tell.
    pub(crate) fn tell_at(
        &self,
        errors: Option<&Bound<'_, PyAny>>,
        what: &str,
        error: &PyErr,
        py: Python<'_>,
    ) {
        self.record(what, py, error, |record| write_to(errors, record));
    }

    fn record(&self, what: &str, py: Python<'_>, error: &PyErr, then: impl FnOnce(&Record<'_>)) {
        let (request, details, kind) = (&*self.to_string(), &*trace(py, error), &*kind(py, error));
        let what = &*format!("{what} on {request}");
        let (ids, addressed) = (Some(&self.ids), Some(&self.addressed));
        then(&Record { ids, addressed, details, request, kind, ..Record::new(LogLevel::Error, what) });
    }
}

fn write_to(errors: Option<&Bound<'_, PyAny>>, record: &Record<'_>) {
    let Some(errors) = errors else { return };
    // A stream that can't be written to has nobody to tell either.
    let _ = errors.call_method1("write", (record.text(),)).and_then(|_| errors.call_method0("flush"));
}

/// What faults are counted by: the type of the exception, and the line that raised it.
fn kind(py: Python<'_>, error: &PyErr) -> String {
    let place = || -> PyResult<String> {
        let Some(traceback) = error.traceback(py) else { return Ok(error.to_string()) };
        let mut last = traceback.into_any();
        while let Some(next) = last.getattr("tb_next")?.extract::<Option<Bound<'_, PyAny>>>()? {
            last = next;
        }
        let code = last.getattr("tb_frame")?.getattr("f_code")?;
        Ok(format!("{} {}", code.getattr("co_filename")?, last.getattr("tb_lineno")?))
    };
    format!("{} {}", error.get_type(py), place().unwrap_or_default())
}

/// The traceback, with the causes of the exception, as Python prints it.
pub(crate) fn trace(py: Python<'_>, error: &PyErr) -> String {
    let lines = py.import("traceback").and_then(|traceback| {
        let parts = (error.get_type(py), error.value(py), error.traceback(py));
        traceback.call_method1("format_exception", parts)?.extract::<Vec<String>>()
    });
    lines.map_or_else(|_| format!("{error}\n"), |lines| lines.concat())
}
