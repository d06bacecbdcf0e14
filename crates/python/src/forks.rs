//! Servers that fork after they have imported an application: what two processes must not share.

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Has Python tell us of each fork, in the child.
pub(crate) fn notice(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let given = PyDict::new(py);
    given.set_item("after_in_child", wrap_pyfunction!(forked, module)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&given))?;
    Ok(())
}

#[pyfunction]
fn forked() {
    onion::forget_random();
}
