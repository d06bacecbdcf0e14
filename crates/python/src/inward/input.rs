//! `wsgi.input`: a request body as a Python file (PEP 3333, "Input and Error Streams").

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Buf, Bytes};
use onion::TemporaryFile;
use pyo3::exceptions::PyBufferError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PySlice, PyTuple};

use crate::streams::unsupported;

/// A request body. Its end is the body's end, however it was framed (`wsgi.input_terminated`).
#[pyclass(frozen, module = "onionskin._core")]
pub(crate) struct Input {
    source: Mutex<Source>,
}

enum Source {
    /// All there: read without giving the GIL away.
    Memory(Cursor<Bytes>),
    /// Reading may take time.
    Slow(Box<dyn BufRead + Send>),
}

impl Input {
    /// No body. It can be shared: there is nothing to read from it.
    pub(crate) fn empty() -> Self {
        Input::memory(Bytes::new())
    }

    /// A body in memory.
    pub(crate) fn memory(bytes: Bytes) -> Self {
        Input { source: Mutex::new(Source::Memory(Cursor::new(bytes))) }
    }

    /// A body in a temporary file.
    pub(crate) fn file(file: TemporaryFile) -> Self {
        Input { source: Mutex::new(Source::Slow(Box::new(BufReader::with_capacity(FILE_BUFFER, file)))) }
    }

    fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `read` on the source, without the GIL if it may take time.
    fn with<'py>(
        &self,
        py: Python<'py>,
        read: impl FnOnce(&mut dyn BufRead, &mut Vec<u8>) -> io::Result<()> + Send,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let mut taken = Vec::new();
        // Without the GIL before the lock: another thread may hold the lock and wait for the GIL.
        py.detach(|| match &mut *self.source() {
            Source::Memory(cursor) => read(cursor, &mut taken),
            Source::Slow(reader) => read(&mut **reader, &mut taken),
        })?;
        Ok(PyBytes::new(py, &taken))
    }

    /// What is left of a body in memory, up to `size`; `None` if it isn't in memory.
    fn take_memory<'py>(&self, py: Python<'py>, size: Option<usize>) -> Option<Bound<'py, PyBytes>> {
        let mut source = self.source.try_lock().ok()?;
        let Source::Memory(cursor) = &mut *source else { return None };
        let rest = cursor.chunk();
        let taken = PyBytes::new(py, &rest[..rest.len().min(size.unwrap_or(usize::MAX))]);
        cursor.advance(taken.as_bytes().len());
        Some(taken)
    }
}

const FILE_BUFFER: usize = 64 * 1024;

#[pymethods]
impl Input {
    /// Reads up to `size` bytes; all that is left if it is negative, None or not given.
    #[pyo3(signature = (size = None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let size = size.and_then(|size| usize::try_from(size).ok());
        if let Some(taken) = self.take_memory(py, size) {
            return Ok(taken);
        }
        self.with(py, |source, taken| {
            source.take(size.map_or(u64::MAX, |size| size as u64)).read_to_end(taken).map(|_| ())
        })
    }

    /// Reads a line with its end; at most `size` bytes of it.
    #[pyo3(signature = (size = None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let size = size.and_then(|size| u64::try_from(size).ok()).unwrap_or(u64::MAX);
        self.with(py, |source, taken| source.take(size).read_until(b'\n', taken).map(|_| ()))
    }

    /// Reads lines to the end, or until `hint` bytes have been read.
    #[pyo3(signature = (hint = None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<isize>) -> PyResult<Bound<'py, PyList>> {
        let hint = hint.and_then(|hint| usize::try_from(hint).ok()).filter(|hint| *hint > 0);
        let lines = PyList::empty(py);
        let mut total = 0;
        while hint.is_none_or(|hint| total < hint) {
            let line = self.readline(py, None)?;
            if line.as_bytes().is_empty() {
                break;
            }
            total += line.as_bytes().len();
            lines.append(line)?;
        }
        Ok(lines)
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.readline(py, None)?;
        Ok((!line.as_bytes().is_empty()).then_some(line))
    }

    // The rest of `io.BufferedIOBase`, so that `io.TextIOWrapper` and `io.BufferedReader` can wrap the body.

    /// Reads up to `size` bytes with at most one read of the temporary file.
    #[pyo3(signature = (size = None, /))]
    fn read1<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let size = size.and_then(|size| usize::try_from(size).ok());
        if let Some(taken) = self.take_memory(py, size) {
            return Ok(taken);
        }
        self.with(py, |source, taken| {
            if size != Some(0) {
                let ready = source.fill_buf()?;
                taken.extend_from_slice(&ready[..ready.len().min(size.unwrap_or(usize::MAX))]);
                source.consume(taken.len());
            }
            Ok(())
        })
    }

    /// Reads into a writable buffer until it is full or the body ends. Returns the number of bytes read.
    fn readinto(&self, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        fill(buffer, |py, size| self.read(py, Some(size)))
    }

    /// The same with at most one read of the temporary file.
    fn readinto1(&self, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        fill(buffer, |py, size| self.read1(py, Some(size)))
    }

    #[classattr]
    const fn closed() -> bool {
        false
    }

    /// Does nothing: the server closes the stream (PEP 3333), and a wrapper that is discarded may not end it.
    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    const fn close(&self) {}

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    const fn flush(&self) {}

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    const fn readable(&self) -> bool {
        true
    }

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    const fn writable(&self) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    const fn seekable(&self) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    const fn isatty(&self) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn fileno(&self, py: Python<'_>) -> PyResult<()> {
        Err(unsupported(py, "fileno"))
    }

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn tell(&self, py: Python<'_>) -> PyResult<()> {
        Err(unsupported(py, "tell"))
    }

    #[pyo3(signature = (*_arguments))]
    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn seek(&self, py: Python<'_>, _arguments: &Bound<'_, PyTuple>) -> PyResult<()> {
        Err(unsupported(py, "seek"))
    }

    #[pyo3(signature = (*_arguments))]
    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn truncate(&self, py: Python<'_>, _arguments: &Bound<'_, PyTuple>) -> PyResult<()> {
        Err(unsupported(py, "truncate"))
    }

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn write(&self, py: Python<'_>, _data: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(unsupported(py, "write"))
    }

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn writelines(&self, py: Python<'_>, _lines: &Bound<'_, PyAny>) -> PyResult<()> {
        Err(unsupported(py, "write"))
    }

    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn detach(&self, py: Python<'_>) -> PyResult<()> {
        Err(unsupported(py, "detach"))
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn __exit__(&self, _exception: &Bound<'_, PyTuple>) {}
}

/// Copies what `read` returns for the size of `buffer` into it.
fn fill<'py>(
    buffer: &Bound<'py, PyAny>,
    read: impl FnOnce(Python<'py>, isize) -> PyResult<Bound<'py, PyBytes>>,
) -> PyResult<usize> {
    let py = buffer.py();
    let view = PyMemoryView::from(buffer)?.call_method1("cast", ("B",))?;
    // Checked first: data that cannot be stored would be lost.
    if view.getattr("readonly")?.is_truthy()? {
        return Err(PyBufferError::new_err("readinto: the buffer is read-only; expected a bytearray"));
    }
    let data = read(py, isize::try_from(view.len()?).unwrap_or(isize::MAX))?;
    let length = data.as_bytes().len();
    view.set_item(PySlice::new(py, 0, isize::try_from(length).unwrap_or(isize::MAX), 1), data)?;
    Ok(length)
}
