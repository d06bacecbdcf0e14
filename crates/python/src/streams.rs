//! What `wsgi.input` and `wsgi.errors` share with the streams of Python's io module.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::errors::ErrorStream;
use crate::inward::Input;
use crate::standard_error::StandardError;

/// The exception for a method that the stream lacks, as the io module raises it.
pub(crate) fn unsupported(py: Python<'_>, method: &str) -> PyErr {
    let raised = py.import("io").and_then(|io| io.getattr("UnsupportedOperation")?.call1((method,)));
    raised.map_or_else(|_| PyOSError::new_err(method.to_owned()), PyErr::from_value)
}

/// Makes `isinstance(environ["wsgi.input"], io.BufferedIOBase)` true, and `io.TextIOBase` for `wsgi.errors`.
pub(crate) fn register(py: Python<'_>) -> PyResult<()> {
    let io = py.import("io")?;
    io.getattr("BufferedIOBase")?.call_method1("register", (py.get_type::<Input>(),))?;
    let text = io.getattr("TextIOBase")?;
    text.call_method1("register", (py.get_type::<ErrorStream>(),))?;
    text.call_method1("register", (py.get_type::<StandardError>(),))?;
    Ok(())
}
