//! `wsgi.file_wrapper`: a file that an application returns, sent by the kernel where that can be done.

use std::ffi::c_int;
use std::fs::File;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;

use onion::FileRange;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyType};

/// Wraps a file-like object for the response (PEP 3333, "Optional Platform-Specific File Handling").
#[pyclass(frozen, module = "onionskin._core")]
pub(crate) struct FileWrapper {
    filelike: Py<PyAny>,
    block_size: usize,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, block_size = 8192, /))]
    fn new(filelike: Py<PyAny>, block_size: usize) -> Self {
        FileWrapper { filelike, block_size }
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let block = self.filelike.bind(py).call_method1("read", (self.block_size,))?;
        let block = block.cast_into::<PyBytes>()?;
        Ok((!block.as_bytes().is_empty()).then_some(block))
    }

    /// Closes the file, if it can be closed.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.filelike.bind(py).getattr_opt("close")? {
            Some(close) => close.call0().map(|_| ()),
            None => Ok(()),
        }
    }
}

impl FileWrapper {
    /// The rest of the file from its current position, if it is a regular file and its descriptor holds exactly what
    /// `read()` returns.
    pub(crate) fn range(&self, py: Python<'_>) -> Option<FileRange> {
        let file = plain_file(self.filelike.bind(py))?;
        let descriptor: RawFd = file.call_method0("fileno").ok()?.extract().ok()?;
        let offset: u64 = file.call_method0("tell").ok()?.extract().ok()?;
        if !is_open(descriptor) {
            return None;
        }
        // SAFETY: it is open, as was just looked for with the GIL held, and is borrowed only to be duplicated here: what
        // is sent later is the copy, whatever becomes of the original.
        let owned = unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned().ok()?;
        let file = File::from(owned);
        let metadata = file.metadata().ok()?;
        // A file of the kernel's (/proc) says that it is empty, and isn't: that can only be found out by reading.
        let length =
            metadata.is_file().then(|| metadata.len().saturating_sub(offset)).filter(|length| *length > 0)?;
        Some(FileRange { file: Arc::new(file), offset, length })
    }
}

/// Whether a number is that of an open descriptor: a file may have been closed behind Python's back.
fn is_open(descriptor: RawFd) -> bool {
    // SAFETY: the C library has it with this signature (POSIX).
    unsafe extern "C" {
        fn fcntl(descriptor: c_int, command: c_int, ...) -> c_int;
    }
    const F_GETFD: c_int = 1;
    // SAFETY: `F_GETFD` takes no further argument and changes nothing; any number may be asked for.
    descriptor >= 0 && unsafe { fcntl(descriptor, F_GETFD) } >= 0
}

/// The file of the io module that `filelike` is, or that a temporary file of the tempfile module delegates to.
///
/// Other objects with a descriptor may decompress or decrypt what it holds (`gzip.open`), so only exact types count.
fn plain_file<'py>(filelike: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let py = filelike.py();
    let is = |object: &Bound<'py, PyAny>, lock, module, name| {
        is_exactly(object, lock, module, name) && !is_patched(object)
    };
    if is(filelike, &FILE_IO, "io", "FileIO") {
        return Some(filelike.clone());
    }
    let is_random = is(filelike, &BUFFERED_RANDOM, "io", "BufferedRandom");
    if is_random || is(filelike, &BUFFERED_READER, "io", "BufferedReader") {
        let raw = filelike.getattr(intern!(py, "raw")).ok()?;
        if !is(&raw, &FILE_IO, "io", "FileIO") {
            return None;
        }
        if is_random {
            // What was written and not flushed is missing from the descriptor.
            filelike.call_method0("flush").ok()?;
        }
        return Some(filelike.clone());
    }
    let inner = if is_exactly(filelike, &NAMED, "tempfile", "_TemporaryFileWrapper") {
        filelike.getattr(intern!(py, "file")).ok()?
    } else if is(filelike, &SPOOLED, "tempfile", "SpooledTemporaryFile") {
        // In memory until it is rolled over to disk; then `_file` is no longer a BytesIO.
        filelike.getattr(intern!(py, "_file")).ok()?
    } else {
        return None;
    };
    if inner.is(filelike) { None } else { plain_file(&inner) }
}

type TypeLock = PyOnceLock<Py<PyType>>;

static FILE_IO: TypeLock = PyOnceLock::new();
static BUFFERED_READER: TypeLock = PyOnceLock::new();
static BUFFERED_RANDOM: TypeLock = PyOnceLock::new();
static NAMED: TypeLock = PyOnceLock::new();
static SPOOLED: TypeLock = PyOnceLock::new();

fn is_exactly(object: &Bound<'_, PyAny>, lock: &'static TypeLock, module: &str, name: &str) -> bool {
    lock.import(object.py(), module, name).is_ok_and(|expected| object.get_type().is(expected))
}

/// Whether the instance has a `read` of its own, which replaces that of its type.
fn is_patched(object: &Bound<'_, PyAny>) -> bool {
    let attributes = object.getattr_opt(intern!(object.py(), "__dict__")).ok().flatten();
    let attributes = attributes.and_then(|attributes| attributes.cast_into::<PyDict>().ok());
    attributes.is_some_and(|attributes| attributes.contains(intern!(object.py(), "read")).unwrap_or(true))
}
