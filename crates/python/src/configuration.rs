//! The configuration as a Python object: read once from all sources, then data.

use std::path::Path;

use configuration::{File, Sources, masked};
use onion::masking;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict};
use serde_json::Value;

use crate::options::{ConfigurationError, options, python};

/// `Configuration(config, environment, flags, arguments)`: everything that was given, read into one.
#[pyclass(name = "Configuration", frozen, module = "onionskin._core")]
pub(crate) struct PyConfiguration {
    read: configuration::Configuration,
}

#[pymethods]
impl PyConfiguration {
    /// `config` names the file; None looks for it in the working directory, and False does without.
    #[new]
    #[pyo3(signature = (config, environment, flags, arguments, /))]
    fn new(
        config: &Bound<'_, PyAny>,
        environment: Vec<(String, String)>,
        flags: Vec<(String, Vec<String>)>,
        arguments: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let arguments = options(arguments)?;
        let directory = Path::new(".");
        let file = if config.cast::<PyBool>().is_ok_and(|config| !config.is_true()) {
            Ok(None)
        } else {
            File::find(config.extract::<Option<String>>()?.as_deref(), directory)
        };
        let read = file.and_then(|file| configuration::read(Sources { file, environment, flags, arguments }));
        let read = read.map_err(|refusal| {
            ConfigurationError::new_err(masking::text(&refusal.to_string()).into_owned())
        })?;
        Ok(PyConfiguration { read })
    }

    /// All of it as dicts, lists and texts, which can be handed to another process as JSON. Secrets are in it.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python(py, &serde_json::to_value(&self.read).unwrap_or(Value::Null))
    }

    /// The same for people to see: without its secrets.
    #[getter]
    fn masked<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        python(py, &serde_json::to_value(masked(self.read.clone())).unwrap_or(Value::Null))
    }

    /// As a file that says the same and where each value was given, without its secrets.
    fn toml(&self) -> String {
        configuration::toml(&masked(self.read.clone()))
    }
}

/// The layers that stand too far inside, among the names of layers from the outside in: `(inside, outside, reason)`.
pub(crate) fn misplaced(names: &[String]) -> Vec<(&'static str, &'static str, &'static str)> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let found = configuration::misplaced(&names).into_iter();
    found.map(|wrong| (wrong.inside, wrong.outside, wrong.reason)).collect()
}

/// A layer's options out of their texts.
pub(crate) fn options_from_texts<'py>(
    py: Python<'py>,
    name: &str,
    texts: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let pairs: Vec<(String, String)> = texts.items().extract()?;
    let pairs = pairs.iter().map(|(option, text)| (option.as_str(), text.as_str()));
    let options = layers::declaration(name).and_then(|declaration| layers::from_text(declaration, pairs));
    let options = options.map_err(|error| ConfigurationError::new_err(error.to_string()))?;
    python(py, &Value::Object(options))
}
