//! `wsgi.errors` where standard error is the log: `sys.stderr`, in which nothing that is wrong with it is the
//! application's to bear.
//!
//! It is whatever `sys.stderr` is at the moment, so that who redirects that gets this too. Where it can't be written (its
//! reader has gone, its disk is full, it was closed), what is written is lost and counted; the next line that can be
//! written tells how much that was.

use std::cell::Cell;

use pyo3::exceptions::{PyAttributeError, PyOSError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::streams::unsupported;

/// The stream (PEP 3333, "Input and Error Streams").
#[pyclass(name = "StandardError", frozen, module = "onionskin._core")]
pub(crate) struct StandardError;

thread_local! {
    /// How many times this thread has come here on its way to a stream.
    static DEPTH: Cell<u8> = const { Cell::new(0) };
}

#[pymethods]
impl StandardError {
    /// Writes text. Returns how many characters that were.
    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn write(&self, text: &Bound<'_, PyString>) -> PyResult<usize> {
        say(text.py(), |stream| stream.call_method1("write", (text,)))?;
        text.len()
    }

    /// Writes one text after the other.
    fn writelines(&self, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in lines.try_iter()? {
            self.write(line?.cast()?)?;
        }
        Ok(())
    }

    /// Has what was written go on its way.
    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        say(py, |stream| stream.call_method0("flush"))
    }

    /// Flushes. The server closes the stream (PEP 3333).
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.flush(py)
    }

    #[classattr]
    const fn closed() -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    const fn readable(&self) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    const fn writable(&self) -> bool {
        true
    }

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    const fn seekable(&self) -> bool {
        false
    }

    #[pyo3(signature = (*_arguments))]
    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn read(&self, py: Python<'_>, _arguments: &Bound<'_, PyTuple>) -> PyResult<()> {
        Err(unsupported(py, "not readable"))
    }

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn detach(&self, py: Python<'_>) -> PyResult<()> {
        Err(unsupported(py, "detach"))
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.flush(py)
    }

    /// All else is `sys.stderr`'s own: `encoding`, `fileno()`, `isatty()`.
    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn __getattr__<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let found = on_stream(name.py(), |stream| stream.getattr(name)).transpose()?;
        found.ok_or_else(|| PyAttributeError::new_err(format!("there is no sys.stderr to ask for {name}")))
    }
}

/// What `sys.stderr` was replaced with: none if it is the process's own, or is not there.
pub(crate) fn replaced(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    let stream = named(py, "stderr")?;
    match named(py, "__stderr__") {
        Some(own) if own.is(&stream) => None,
        // What leads back to standard error.
        _ if stream.is_instance_of::<StandardError>() => None,
        _ => Some(stream),
    }
}

/// Says something, unless that can't be said.
fn say<'py>(
    py: Python<'py>,
    call: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<()> {
    let said = on_stream(py, |stream| match call(stream) {
        Err(error) if is_broken(stream, &error) => Ok(false),
        said => said.map(|_| true),
    });
    match said.transpose()? {
        Some(true) => onion::stderr_works(),
        Some(false) | None => onion::note_lost(),
    }
    Ok(())
}

/// Whether an error says that nothing can be written to `stream`.
fn is_broken(stream: &Bound<'_, PyAny>, error: &PyErr) -> bool {
    let is_closed = || stream.getattr("closed").and_then(|closed| closed.is_truthy()).unwrap_or(false);
    error.is_instance_of::<PyOSError>(stream.py()) || is_closed()
}

/// Does something on `sys.stderr`; none if there is no such thing. Where it leads back here (`sys.stderr = wsgi.errors`,
/// or something that copies all to both), it is the process's own one.
fn on_stream<'py, T>(py: Python<'py>, act: impl FnOnce(&Bound<'py, PyAny>) -> T) -> Option<T> {
    let depth = DEPTH.get();
    let stream = match depth {
        0 => named(py, "stderr").filter(|stream| !stream.is_instance_of::<StandardError>()),
        1 => None,
        _ => return None,
    };
    let stream = stream.or_else(|| named(py, "__stderr__"))?;
    DEPTH.set(depth + 1);
    let done = act(&stream);
    DEPTH.set(depth);
    Some(done)
}

fn named<'py>(py: Python<'py>, name: &str) -> Option<Bound<'py, PyAny>> {
    let stream = py.import("sys").and_then(|sys| sys.getattr(name)).ok()?;
    (!stream.is_none()).then_some(stream)
}
