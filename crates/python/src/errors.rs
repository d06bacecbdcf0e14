//! `wsgi.errors` where the server has an error log of its own: what is written to it goes there.
//!
//! A line goes there in one piece, when it is whole or when it is flushed. Several threads may write: each has a line
//! of its own. A request that has ids has a stream of its own, so that its lines show them.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use onion::Ids;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// The stream (PEP 3333, "Input and Error Streams").
#[pyclass(name = "ErrorStream", frozen, module = "onionskin._core")]
#[derive(Default)]
pub(crate) struct ErrorStream {
    ids: Option<Ids>,
    /// What was written of lines that are not whole yet.
    begun: Mutex<Vec<(ThreadId, String)>>,
}

/// No line is kept back that is longer.
const LONGEST: usize = 64 * 1024;

/// Nor are more of them: threads that have begun one may have ended.
const MOST_BEGUN: usize = 64;

#[pymethods]
impl ErrorStream {
    /// Writes text. Returns how many characters that were.
    fn write(&self, text: &str) -> usize {
        self.add(text);
        text.chars().count()
    }

    /// Writes one text after the other.
    fn writelines(&self, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in lines.try_iter()? {
            self.add(line?.extract()?);
        }
        Ok(())
    }

    /// Has what was written of a line go on its way.
    fn flush(&self) {
        let mut begun = self.begun();
        let here = thread::current().id();
        if let Some(place) = begun.iter().position(|(thread, _)| *thread == here) {
            let (_, rest) = begun.swap_remove(place);
            drop(begun);
            self.pass_on(rest);
        }
    }

    #[classattr]
    const fn encoding() -> &'static str {
        "utf-8"
    }

    #[classattr]
    const fn errors() -> &'static str {
        "strict"
    }

    /// Flushes. The server closes the stream (PEP 3333).
    fn close(&self) {
        self.flush();
    }

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    const fn writable(&self) -> bool {
        true
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, _exception: &Bound<'_, PyTuple>) {
        self.flush();
    }

    /// The rest is that of `io.TextIOBase`, which refuses whatever would read, seek or ask for a file.
    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn __getattr__<'py>(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        name.py().import("io")?.getattr("TextIOBase")?.call0()?.getattr(name)
    }
}

impl ErrorStream {
    /// That of the request with these ids.
    pub(crate) fn of(ids: Ids) -> Self {
        ErrorStream { ids: Some(ids), begun: Mutex::default() }
    }

    /// Puts one for the request with these ids into `environ`, where there is one that has none: they were given by a
    /// layer within the application.
    pub(crate) fn mark(environ: &Bound<'_, PyDict>, ids: Ids) -> PyResult<()> {
        let errors = environ.get_item("wsgi.errors")?;
        let is_without = |errors: &Bound<'_, PyAny>| {
            errors.cast_exact::<ErrorStream>().is_ok_and(|errors| errors.get().ids.is_none())
        };
        if !ids.is_empty() && errors.as_ref().is_some_and(is_without) {
            environ.set_item("wsgi.errors", Bound::new(environ.py(), ErrorStream::of(ids))?)?;
        }
        Ok(())
    }

    fn add(&self, text: &str) {
        let here = thread::current().id();
        let mut begun = self.begun();
        let place = begun.iter().position(|(thread, _)| *thread == here);
        let mut lines = place.map(|place| begun.swap_remove(place).1).unwrap_or_default();
        lines.push_str(text);
        let whole =
            if lines.len() > LONGEST { lines.len() } else { lines.rfind('\n').map_or(0, |end| end + 1) };
        let rest = lines.split_off(whole);
        if !rest.is_empty() {
            begun.push((here, rest));
        }
        let oldest = (begun.len() > MOST_BEGUN).then(|| begun.remove(0).1);
        drop(begun);
        self.pass_on(lines);
        self.pass_on(oldest.unwrap_or_default());
    }

    fn pass_on(&self, mut lines: String) {
        if lines.is_empty() {
            return;
        }
        if !lines.ends_with('\n') {
            lines.push('\n');
        }
        onion::pass_on(&lines, self.ids.as_ref());
    }

    fn begun(&self) -> MutexGuard<'_, Vec<(ThreadId, String)>> {
        // Nothing that runs under this lock can panic half-way.
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ErrorStream {
    /// The request is over, and so are its lines.
    fn drop(&mut self) {
        for (_, rest) in mem::take(&mut *self.begun()) {
            self.pass_on(rest);
        }
    }
}
