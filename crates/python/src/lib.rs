//! `onionskin._core`: the doors between the house and Python, the classes of the layers, and the server.

mod changes;
mod classes;
mod configuration;
mod errors;
mod forks;
mod heartbeat;
mod inward;
mod live;
mod log;
#[cfg(target_os = "linux")]
mod mappings;
mod options;
mod outward;
mod overdue;
mod permits;
mod serving;
mod session;
mod signals;
mod spares;
mod standard_error;
mod startup;
mod streams;
mod strings;
mod supervising;
mod threads;
mod watchdog;
mod wsgi;
mod xslt;

use pyo3::prelude::*;

/// The native part of onionskin.
#[pymodule(gil_used = false)]
mod _core {
    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    #[pymodule_export]
    use crate::classes::{Onion, PyLayer};
    #[pymodule_export]
    use crate::configuration::PyConfiguration;
    #[pymodule_export]
    use crate::inward::{FileWrapper, Input, StartResponse};
    #[pymodule_export]
    use crate::options::ConfigurationError;
    #[pymodule_export]
    use crate::outward::Answer;
    #[pymodule_export]
    use crate::overdue::RequestTimeout;
    #[pymodule_export]
    use crate::serving::PyServer;
    #[pymodule_export]
    use crate::session::{SessionMapping, SessionTransaction, SessionUnavailable};
    #[pymodule_export]
    use crate::supervising::{BootError, PySupervisor};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::refuse_subinterpreters()?;
        onion::report_panics();
        crate::session::register(module.py())?;
        layers::xslt::engine::provide(crate::xslt::Lxml);
        crate::forks::notice(module)?;
        crate::streams::register(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }

    /// The layers' declarations: name, class, summary, phase and the JSON schema of the options.
    #[pyfunction]
    fn declarations(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
        super::declarations(py)
    }

    /// The JSON schema of the server's options.
    #[pyfunction]
    fn server_options(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        let schema = schemars::schema_for!(server::Config);
        crate::options::python(py, schema.as_value())
    }

    /// The JSON schema of `onion.toml`.
    #[pyfunction]
    fn configuration_schema(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        crate::options::python(py, &::configuration::schema())
    }

    /// The one of `known` that was probably meant by `name`, if any is near.
    #[pyfunction]
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 extracts a list into a Vec")]
    fn suggestion(name: &str, known: Vec<String>) -> Option<String> {
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        onion::reading::suggestion(name, &known).map(str::to_owned)
    }

    /// The layers that stand too far inside, among the names of layers from the outside in: each with the layer that
    /// it should stand outside of, and why.
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 extracts a list into a Vec")]
    #[pyfunction]
    fn misplaced(names: Vec<String>) -> Vec<(&'static str, &'static str, &'static str)> {
        crate::configuration::misplaced(&names)
    }

    /// A layer's options out of their texts in an `.ini` file.
    #[pyfunction]
    fn options_from_texts<'py>(
        py: Python<'py>,
        name: &str,
        texts: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyAny>> {
        crate::configuration::options_from_texts(py, name, texts)
    }

    /// How many workers these options ask for, under a supervisor, 0 if none is wanted; raises `ConfigurationError`
    /// for what is wrong in them.
    #[pyfunction]
    fn number_of_workers(options: &Bound<'_, PyDict>) -> PyResult<usize> {
        let config = crate::serving::read_config(options)?;
        Ok(if config.is_supervised() { config.workers.number().max(1) } else { 0 })
    }

    /// All that is wrong with the options of a layer, without the applications that it may name.
    #[pyfunction]
    fn layer_problems(name: &str, options: &Bound<'_, PyDict>) -> PyResult<Vec<String>> {
        crate::classes::problems(name, options)
    }

    /// Has a process end with the one that started it, until it is ready to serve.
    #[pyfunction]
    fn enter_boot() {
        server::enter_boot();
    }

    /// A layer out of its form on the command line: `NAME:option=value,...`. It has no application inside.
    #[pyfunction]
    fn layer_from_text(py: Python<'_>, text: &str) -> PyResult<PyLayer> {
        PyLayer::from_text(py, text)
    }
}

/// What is kept for the life of the process, such as classes, thread states and callbacks, belongs to one interpreter.
fn refuse_subinterpreters() -> PyResult<()> {
    // SAFETY: a module is initialised with the GIL held, so there is a current interpreter.
    let id = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    if id == 0 {
        return Ok(());
    }
    let message = "onionskin cannot be used in a subinterpreter; import it in the main interpreter, or start a process \
                   (with mod_wsgi: WSGIApplicationGroup %{GLOBAL})";
    Err(pyo3::exceptions::PyImportError::new_err(message))
}

fn declarations(py: Python<'_>) -> PyResult<Vec<Bound<'_, pyo3::types::PyDict>>> {
    let rows = layers::LAYERS.iter().map(|declaration| {
        let row = pyo3::types::PyDict::new(py);
        row.set_item("name", declaration.name)?;
        row.set_item("class", declaration.class)?;
        row.set_item("summary", declaration.summary)?;
        row.set_item("phase", format!("{:?}", declaration.phase).to_lowercase())?;
        row.set_item("stands_alone", declaration.stands_alone)?;
        row.set_item("schema", options::python(py, (declaration.schema)().as_value())?)?;
        Ok(row)
    });
    rows.collect()
}
