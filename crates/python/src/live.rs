//! What layers tell the application that is alive: each kind, and the Python object that environ has for it.

use std::any::Any;
use std::sync::Arc;

use layers::OpenSession;
use pyo3::prelude::*;

use crate::session::SessionMapping;

/// The object that shows `live` to the application; `None` for what no application is to see.
pub(crate) fn object<'py>(
    py: Python<'py>,
    live: &Arc<dyn Any + Send + Sync>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    if let Some(object) = live.downcast_ref::<Py<PyAny>>() {
        return Ok(Some(object.bind(py).clone()));
    }
    if let Ok(session) = Arc::clone(live).downcast::<OpenSession>() {
        return Ok(Some(Bound::new(py, SessionMapping::new(session))?.into_any()));
    }
    Ok(None)
}
