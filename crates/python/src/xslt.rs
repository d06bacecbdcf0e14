//! The engine of the layer `Xslt`: lxml, by way of `python/onionskin/_xslt.py`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use layers::xslt::engine::{Document, Engine, Transformation, Transformed};
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
        attached(|py| {
            let compile = || {
                let object = module(py)?.getattr("Chain")?.call1((chain, directory))?;
                let files = object.getattr("files")?.extract()?;
                let media_type = object.getattr("media_type")?.extract()?;
                Ok(Chain { object: object.unbind(), files, media_type })
            };
            compile()
                .map(|chain| Arc::new(chain) as Arc<dyn Transformation>)
                .map_err(|error| reason(py, &error))
        })
    }
}

impl Transformation for Chain {
    fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    fn apply(&self, document: &Document) -> Result<Option<Transformed>, String> {
        attached(|py| self.call(py, document).map_err(|error| reason(py, &error)))
    }
}

impl Chain {
    /// lxml lets the GIL go while it parses, transforms and writes.
    fn call(&self, py: Python<'_>, document: &Document) -> PyResult<Option<Transformed>> {
        let parameters = PyDict::new(py);
        for (name, text) in &*document.parameters {
            parameters.set_item(name, text)?;
        }
        let bytes = PyBytes::new(py, &document.bytes);
        let arguments = (bytes, document.is_html, document.is_utf8, parameters);
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
