//! `environ["onionskin.session"]`: the session of one request, as a mutable mapping.

mod json;
mod lifetime;
mod transaction;

use std::sync::Arc;

use layers::{Contents, Expiry, OpenSession, Unavailable};
use pyo3::exceptions::{PyKeyError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

pub(crate) use transaction::SessionTransaction;

use crate::threads::attached;

pyo3::create_exception!(
    onionskin,
    SessionUnavailable,
    PyRuntimeError,
    "The session can't be had, for its store does not answer. The request will be answered 503."
);

/// The values that last from request to request: a mapping of texts to JSON values.
///
/// It is read when it is first used, and saved before the head of the response goes out if it has changed, be it deep
/// inside a value.
#[pyclass(mapping, frozen, module = "onionskin._core")]
pub(crate) struct SessionMapping {
    session: Arc<OpenSession>,
    values: PyOnceLock<Py<PyDict>>,
}

impl SessionMapping {
    pub(crate) fn new(session: Arc<OpenSession>) -> Self {
        SessionMapping { session, values: PyOnceLock::new() }
    }

    /// The session that this shows.
    pub(crate) fn session(&self) -> Arc<OpenSession> {
        Arc::clone(&self.session)
    }

    /// The values, read when this is first called.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyDict>> {
        let values = match self.values.get(py) {
            Some(values) => values,
            None => self.values.get_or_try_init(py, || self.read(py))?,
        };
        Ok(values.bind(py))
    }

    fn read(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let json = py.detach(|| self.session.read()).map_err(unavailable)?;
        let values = json::loads(py, &json)?;
        self.session.hold(Arc::new(Values(values.clone_ref(py))));
        Ok(values)
    }

    /// The values, to be changed.
    fn changing<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyDict>> {
        let values = self.values(py)?;
        self.session.will_change();
        Ok(values)
    }
}

#[pymethods]
impl SessionMapping {
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.values(py)?.len())
    }

    fn __contains__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.values(py)?.contains(key)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.values(py)?.try_iter()?.into_any())
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.values(py)?.get_item(key)?.ok_or_else(|| PyKeyError::new_err(key.clone().unbind()))
    }

    fn __setitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        json::check(key, value)?;
        self.changing(py)?.set_item(key, value)
    }

    fn __delitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        self.changing(py)?.del_item(key)
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        match other.cast::<SessionMapping>() {
            Ok(other) => self.values(py)?.eq(other.get().values(py)?),
            Err(_) => self.values(py)?.eq(other),
        }
    }

    /// Tells how many values there are, and none of them.
    fn __repr__(&self, py: Python<'_>) -> String {
        match self.values.get(py) {
            None => "<SessionMapping, not read yet>".to_owned(),
            Some(values) => format!("<SessionMapping of {} values>", values.bind(py).len()),
        }
    }

    #[pyo3(signature = (key, default = None, /))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.values(py)?.get_item(key)?.or(default))
    }

    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.values(py)?.call_method0("keys")
    }

    #[pyo3(name = "values")]
    fn all_values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.values(py)?.call_method0("values")
    }

    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.values(py)?.call_method0("items")
    }

    /// Takes a value away and gives it; the default if there is none.
    #[pyo3(signature = (key, /, *default))]
    fn pop<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if default.len() > 1 {
            return Err(PyTypeError::new_err("pop takes a key and at most one default"));
        }
        let values = self.values(py)?;
        match values.get_item(key)? {
            Some(value) => {
                self.__delitem__(py, key)?;
                Ok(value)
            }
            None => default.get_item(0).map_err(|_| PyKeyError::new_err(key.clone().unbind())),
        }
    }

    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.changing(py)?.call_method0("popitem")
    }

    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.changing(py)?.clear();
        Ok(())
    }

    /// Sets the values of a mapping, or of pairs, and those that are given by name.
    #[pyo3(signature = (other = None, /, **values))]
    fn update(
        &self,
        py: Python<'_>,
        other: Option<&Bound<'_, PyAny>>,
        values: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let together = PyDict::new(py);
        if let Some(other) = other {
            together.call_method1("update", (other,))?;
        }
        if let Some(values) = values {
            together.update(values.as_mapping())?;
        }
        for (key, value) in together.iter() {
            json::check(&key, &value)?;
        }
        self.changing(py)?.update(together.as_mapping())
    }

    #[pyo3(signature = (key, default = None, /))]
    fn setdefault<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(value) = self.values(py)?.get_item(key)? {
            return Ok(value);
        }
        let default = default.unwrap_or_else(|| py.None().into_bound(py));
        self.__setitem__(py, key, &default)?;
        Ok(default)
    }

    /// Goes on with the same values under a new id: to be called when somebody logs in, or gets more rights.
    fn rotate(&self, py: Python<'_>) -> PyResult<()> {
        // Read first, so that its values are held.
        self.values(py)?;
        py.detach(|| self.session.rotate()).map_err(unavailable)
    }

    /// Ends the session, in the store too, and goes on with an empty one: to be called when somebody logs out.
    fn invalidate(&self, py: Python<'_>) -> PyResult<()> {
        let values = self.values(py)?;
        py.detach(|| self.session.invalidate()).map_err(unavailable)?;
        values.clear();
        Ok(())
    }

    /// Choose how long this session lasts: a number of seconds or a ``timedelta`` after its last use, a point in time, or
    /// None for the layer's own options. Its cookie outlives the browser if it is ``persistent``, by default if a
    /// lifetime is given.
    #[pyo3(signature = (lifetime = None, /, *, persistent = None))]
    fn set_lifetime(
        &self,
        py: Python<'_>,
        lifetime: Option<&Bound<'_, PyAny>>,
        persistent: Option<bool>,
    ) -> PyResult<()> {
        let persistent = persistent.or(lifetime.map(|_| true));
        let lifetime = lifetime.map(lifetime::read).transpose()?.unwrap_or_default();
        // Read first, so that its values are held.
        self.values(py)?;
        py.detach(|| self.session.set_expiry(Expiry { lifetime, persistent })).map_err(unavailable)
    }

    /// In how many seconds the session expires if this is its last use.
    #[getter]
    fn max_age(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.session.max_age()).map_err(unavailable)
    }

    /// Whether the session's cookie outlives the browser.
    #[getter]
    fn persistent(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| self.session.is_persistent()).map_err(unavailable)
    }

    /// Whether the client came without a session, or with none that is still good.
    #[getter]
    fn is_new(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| self.session.is_new()).map_err(unavailable)
    }

    /// Whether there is something to save.
    #[getter]
    fn modified(&self, py: Python<'_>) -> PyResult<bool> {
        let Some(values) = self.values.get(py) else { return Ok(false) };
        let json = json::dumps(values.bind(py))?;
        py.detach(|| self.session.is_changed(&json)).map_err(unavailable)
    }

    /// What the session is called in stores and logs. It opens nothing, and changes with ``rotate()``.
    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<String> {
        py.detach(|| self.session.name()).map_err(unavailable)
    }
}

/// The values where the layer finds them when the head is about to go out.
struct Values(Py<PyDict>);

impl Contents for Values {
    fn json(&self) -> Result<String, String> {
        attached(|py| json::dumps(self.0.bind(py)).map_err(|error| error.value(py).to_string()))
    }
}

fn unavailable(error: Unavailable) -> PyErr {
    SessionUnavailable::new_err(error.0)
}

/// Makes it a `MutableMapping` for `isinstance`.
pub(crate) fn register(py: Python<'_>) -> PyResult<()> {
    let mapping = py.import("collections.abc")?.getattr("MutableMapping")?;
    mapping.call_method1("register", (py.get_type::<SessionMapping>(),))?;
    Ok(())
}
