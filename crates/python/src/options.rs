//! From Python values to the options that layers and the server declare.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PySequence, PyString};
use serde_json::{Map, Number, Value};

pyo3::create_exception!(
    onionskin,
    ConfigurationError,
    PyValueError,
    "An option that is unknown, missing or wrong. The message says what, which, and what to do."
);

/// A dict of keyword options.
pub(crate) fn options(given: &Bound<'_, PyDict>) -> PyResult<Map<String, Value>> {
    given.iter().map(|(key, value)| Ok((key.extract()?, json(&value)?))).collect()
}

/// A Python value as JSON: None, bool, int, float, str, and sequences and mappings of these.
fn json(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Value::Bool(flag.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        // What is too large for any option is refused as text, by the option that it was given for.
        return Ok(match value.extract::<i64>() {
            Ok(integer) => Value::Number(Number::from(integer)),
            Err(_) => Value::String(value.str()?.to_str()?.to_owned()),
        });
    }
    if let Ok(float) = value.cast::<PyFloat>() {
        let number = Number::from_f64(float.extract()?);
        return Ok(number.map_or_else(|| Value::String(float.to_string()), Value::Number));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::String(text.to_str()?.to_owned()));
    }
    if let Ok(mapping) = value.cast::<PyMapping>() {
        let items = mapping.items()?;
        let pairs = items.iter().map(|item| {
            let (key, value): (String, Bound<'_, PyAny>) = item.extract()?;
            Ok((key, json(&value)?))
        });
        return Ok(Value::Object(pairs.collect::<PyResult<_>>()?));
    }
    if let Ok(sequence) = value.cast::<PySequence>() {
        return Ok(Value::Array(sequence.try_iter()?.map(|item| json(&item?)).collect::<PyResult<_>>()?));
    }
    if value.hasattr("__iter__")? {
        return Ok(Value::Array(value.try_iter()?.map(|item| json(&item?)).collect::<PyResult<_>>()?));
    }
    let shown = value.get_type();
    Err(PyTypeError::new_err(format!(
        "an option cannot be of {shown}; give a str, a number, a bool, a list or a dict"
    )))
}

/// JSON as Python values.
pub(crate) fn python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(flag) => PyBool::new(py, *flag).to_owned().into_any(),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => integer.into_pyobject(py)?.into_any(),
            None => number.as_f64().unwrap_or(f64::NAN).into_pyobject(py)?.into_any(),
        },
        Value::String(text) => PyString::new(py, text).into_any(),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(python(py, item)?)?;
            }
            list.into_any()
        }
        Value::Object(pairs) => {
            let dict = PyDict::new(py);
            for (key, item) in pairs {
                dict.set_item(key, python(py, item)?)?;
            }
            dict.into_any()
        }
    })
}
