//! The engine of the layer `Xslt`: lxml, by way of `python/onionskin/_xslt.py`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use layers::xslt::engine::{Document, Engine, Fetch, Transformation, Transformed};
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::threads::attached;

/// lxml, if it is installed.
pub(crate) struct Lxml;

/// A `Chain` of `_xslt.py`.
struct Chain {
    object: Py<PyAny>,
    files: Vec<PathBuf>,
    media_type: Option<String>,
}

impl Engine for Lxml {
    fn compile(
        &self,
        chain: &[PathBuf],
        directory: Option<&Path>,
    ) -> Result<Arc<dyn Transformation>, String> {
        attached(|py| compiled(py, |module| module.call_method1("of_files", (chain, directory))))
    }

    fn compile_fetched(&self, url: &str, fetch: &Arc<dyn Fetch>) -> Result<Arc<dyn Transformation>, String> {
        let fetch = Fetcher(Arc::clone(fetch));
        attached(|py| compiled(py, |module| module.call_method1("of_url", (url, fetch))))
    }
}

/// `fetch(url)`, for `_xslt.py`: the bytes, or a refusal.
#[pyclass(frozen, module = "onionskin._core")]
struct Fetcher(Arc<dyn Fetch>);

#[pymethods]
impl Fetcher {
    fn __call__<'py>(&self, py: Python<'py>, url: &str) -> PyResult<Bound<'py, PyBytes>> {
        match py.detach(|| self.0.fetch(url)) {
            Ok(bytes) => Ok(PyBytes::new(py, &bytes)),
            Err(reason) => Err(PyErr::from_value(module(py)?.getattr("Refused")?.call1((reason,))?)),
        }
    }
}

fn compiled<'py>(
    py: Python<'py>,
    compile: impl FnOnce(Bound<'py, PyModule>) -> PyResult<Bound<'py, PyAny>>,
) -> Result<Arc<dyn Transformation>, String> {
    let chain = || {
        let object = compile(module(py)?)?;
        let files = object.getattr("files")?.extract()?;
        let media_type = object.getattr("media_type")?.extract()?;
        Ok(Chain { object: object.unbind(), files, media_type })
    };
    chain().map(|chain| Arc::new(chain) as Arc<dyn Transformation>).map_err(|error| reason(py, &error))
}

impl Transformation for Chain {
    fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    fn apply(
        &self,
        document: &Document,
        fetch: Option<&Arc<dyn Fetch>>,
    ) -> Result<Option<Transformed>, String> {
        attached(|py| self.call(py, document, fetch).map_err(|error| reason(py, &error)))
    }
}

impl Chain {
    /// lxml lets the GIL go while it parses, transforms and writes.
    fn call(
        &self,
        py: Python<'_>,
        document: &Document,
        fetch: Option<&Arc<dyn Fetch>>,
    ) -> PyResult<Option<Transformed>> {
        let parameters = PyDict::new(py);
        for (name, text) in &*document.parameters {
            parameters.set_item(name, text)?;
        }
        let bytes = PyBytes::new(py, &document.bytes);
        let fetch = fetch.map(|fetch| Fetcher(Arc::clone(fetch)));
        let url = document.url.as_deref();
        let arguments = (bytes, document.is_html, document.is_utf8, parameters, url, fetch);
        let made = self.object.bind(py).call_method1("apply", arguments)?;
        let Some((bytes, media_type, charset)) = made.extract::<Option<(Bound<'_, PyBytes>, _, _)>>()? else {
            return Ok(None);
        };
        Ok(Some(Transformed { bytes: Bytes::copy_from_slice(bytes.as_bytes()), media_type, charset }))
    }
}

fn module(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import("onionskin._xslt").map_err(|error| {
        if !error.is_instance_of::<PyImportError>(py) {
            return error;
        }
        PyImportError::new_err(format!(
            "stylesheets need lxml, which is not installed here ({error}); run pip install 'onionskin[xslt]'"
        ))
    })
}

/// What an exception says, in one line. That of the house, or of lxml's absence, needs no name.
fn reason(py: Python<'_>, error: &PyErr) -> String {
    let text = error.value(py).to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    let kind = error.get_type(py).name().map(|name| name.to_string()).unwrap_or_default();
    if ["Refused", "ImportError"].contains(&kind.as_str()) { text } else { format!("{kind}: {text}") }
}
