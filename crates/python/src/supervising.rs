//! The supervisor as a Python object: bound when it is made, supervising when it is told to.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use onion::ErrorLog;
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use server::supervisor::{BootFailure, Estate, Plan, Supervisor};
use tokio::runtime::Builder;

use crate::options::ConfigurationError;
use crate::serving::{handed_over, inherited, read_config};

pyo3::create_exception!(
    onionskin,
    BootError,
    PyRuntimeError,
    "No worker became ready. The message says why, in one line; `details` is the traceback, if there is one."
);

/// A supervisor of workers: `Supervisor(read)`. `read()` gives the command of a worker, the folder it runs in,
/// the options and the files that they were read from: now, and again by every reload.
#[pyclass(name = "Supervisor", frozen, module = "onionskin._core")]
pub(crate) struct PySupervisor {
    read: Py<PyAny>,
    notify: Option<String>,
    /// In microseconds.
    watchdog: Option<u64>,
    handed: Mutex<Vec<(RawFd, String)>>,
    /// As it is in the environment.
    estate: Mutex<Option<Estate<RawFd>>>,
    first: Mutex<Option<Plan>>,
}

#[pymethods]
impl PySupervisor {
    /// Raises what `read` raises, and `ConfigurationError` for a wrong option.
    #[new]
    #[pyo3(signature = (read, *, handed = Vec::new(), estate = None, notify = None, watchdog = None))]
    fn new(
        read: &Bound<'_, PyAny>,
        handed: Vec<(RawFd, String)>,
        estate: Option<&str>,
        notify: Option<String>,
        watchdog: Option<u64>,
    ) -> PyResult<Self> {
        let first = Mutex::new(Some(plan(&read.call0()?)?));
        let estate = estate.map(serde_json::from_str).transpose();
        let estate = Mutex::new(estate.map_err(|error| PyRuntimeError::new_err(error.to_string()))?);
        let (read, handed) = (read.clone().unbind(), Mutex::new(handed));
        Ok(PySupervisor { read, notify, watchdog, handed, estate, first })
    }

    /// Binds, and supervises until SIGINT or SIGTERM. Returns whether every request was answered. Raises `OSError` for
    /// a place that is taken, `BootError` when the first workers can't serve.
    fn run(&self, py: Python<'_>) -> PyResult<bool> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(first) = first else {
            return Err(PyRuntimeError::new_err("the supervisor has run already; make a new one"));
        };
        let handed = std::mem::take(&mut *self.handed.lock().unwrap_or_else(PoisonError::into_inner));
        let estate = self.estate.lock().unwrap_or_else(PoisonError::into_inner).take();
        let source = Box::new(|| Python::attach(|py| self.read_again(py)));
        let log = server::error_log(&first.config);
        let log = log.map_err(|error| ConfigurationError::new_err(error.to_string()))?;
        ErrorLog::install(Some(log.unwrap_or_else(ErrorLog::standard)));
        let ended = py.detach(|| {
            let bound = match estate {
                None => Supervisor::bind(first, source, handed_over(handed)),
                Some(estate) => Supervisor::succeeding(first, source, estate.map(inherited))?,
            };
            let supervisor = bound.map_err(|error| PyOSError::new_err(error.to_string()))?;
            let named = supervisor.named();
            let supervisor = named.map_err(|error| ConfigurationError::new_err(error.to_string()))?;
            let supervisor =
                supervisor.notifying(self.notify.as_deref(), self.watchdog.map(Duration::from_micros));
            let runtime = Builder::new_current_thread().enable_all().build()?;
            Ok::<_, PyErr>(runtime.block_on(supervisor.run())?)
        });
        onion::close_error_log();
        let ended = ended?;
        ended.map_err(|failure| boot_error(py, &failure))
    }
}

impl PySupervisor {
    fn read_again(&self, py: Python<'_>) -> Result<Plan, String> {
        let read = self.read.bind(py).call0().and_then(|given| plan(&given));
        // A line for each problem of the file; in the log it is one.
        read.map_err(|error| error.value(py).to_string().replace('\n', "; "))
    }
}

/// What `read` gave.
fn plan(given: &Bound<'_, PyAny>) -> PyResult<Plan> {
    type Given<'py> = (Vec<OsString>, Option<PathBuf>, Bound<'py, PyDict>, Vec<PathBuf>);
    let (command, directory, options, files): Given<'_> = given.extract()?;
    let config = read_config(&options)?;
    Ok(Plan { command, directory, files, config })
}

fn boot_error(py: Python<'_>, failure: &BootFailure) -> PyErr {
    let error = BootError::new_err(failure.reason.clone());
    match error.value(py).setattr("details", &failure.details) {
        Ok(()) => error,
        Err(error) => error,
    }
}
