//! The lifetime of a session, as Python code gives it.

use layers::Lifetime;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDateTime, PyDelta};

/// A number of seconds, a `timedelta` or a `datetime`.
pub(super) fn read(given: &Bound<'_, PyAny>) -> PyResult<Lifetime> {
    if given.is_instance_of::<PyDateTime>() {
        // A datetime without a zone is in local time, as everywhere in Python.
        let second: f64 = given.call_method0("timestamp")?.extract()?;
        return Ok(Lifetime::Until(whole(second.max(0.0))));
    }
    let seconds: Option<f64> = if given.is_instance_of::<PyDelta>() {
        Some(given.call_method0("total_seconds")?.extract()?)
    } else if given.is_instance_of::<PyBool>() {
        None
    } else {
        given.extract().ok()
    };
    let refused = |kind| format!("set_lifetime: {given} is not a valid {kind}; expected {EXPECTED}");
    match seconds {
        Some(seconds) if (1.0..=TEN_YEARS).contains(&seconds) => Ok(Lifetime::Unused(whole(seconds))),
        Some(_) => Err(PyValueError::new_err(refused("lifetime"))),
        None => Err(PyTypeError::new_err(refused("type"))),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in the range of a u64")]
fn whole(seconds: f64) -> u64 {
    seconds as u64
}

const TEN_YEARS: f64 = 3650.0 * 86400.0;
const EXPECTED: &str = "seconds or a timedelta from 1 second to 3650 days, a datetime, or None";
