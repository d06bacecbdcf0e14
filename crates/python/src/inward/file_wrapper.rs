//! `wsgi.file_wrapper`: a file that an application returns, sent by the kernel where that can be done.

use std::fs::File;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;

use onion::FileRange;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

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
    /// The rest of the file from where it stands, if it is a regular file of the system.
    pub(crate) fn range(&self, py: Python<'_>) -> Option<FileRange> {
        let filelike = self.filelike.bind(py);
        let descriptor: RawFd = filelike.call_method0("fileno").ok()?.extract().ok()?;
        let offset: u64 = filelike.call_method0("tell").ok()?.extract().ok()?;
        // SAFETY: the Python file owns the descriptor and is alive; it is borrowed only to be duplicated here.
        let owned = unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned().ok()?;
        let file = File::from(owned);
        let metadata = file.metadata().ok()?;
        // A file of the kernel's (/proc) says that it is empty, and isn't: that can only be found out by reading.
        let length =
            metadata.is_file().then(|| metadata.len().saturating_sub(offset)).filter(|length| *length > 0)?;
        Some(FileRange { file: Arc::new(file), offset, length })
    }
}
