//! From Python values to the options that layers and the server declare.

use std::sync::Arc;

use onion::{Handler, Supply};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PySequence, PyString, PyTuple};
use serde_json::{Map, Number, Value};

use crate::classes::handler_of;

pyo3::create_exception!(
    onionskin,
    ConfigurationError,
    PyValueError,
    "An option that is unknown, missing or wrong. The message says what, which, and what to do."
);

/// A dict of keyword options that are data.
pub(crate) fn options(given: &Bound<'_, PyDict>) -> PyResult<Map<String, Value>> {
    let refuse = |value: &Bound<'_, PyAny>| Err(unfit(value));
    given.iter().map(|(key, value)| Ok((key.extract()?, json(&value, &mut { refuse })?))).collect()
}

/// A dict of keyword options, and the applications among them.
pub(crate) fn options_and_supply(given: &Bound<'_, PyDict>) -> PyResult<(Map<String, Value>, Supply)> {
    let mut supply = Supply::finding(find);
    let mut put = |value: &Bound<'_, PyAny>| {
        if !value.is_callable() {
            return Err(unfit(value));
        }
        Ok(supply.put(handler_of(value, "an option")?.0, &value.repr()?.to_cow()?))
    };
    let options = given.iter().map(|(key, value)| Ok((key.extract()?, json(&value, &mut put)?)));
    let options = options.collect::<PyResult<_>>()?;
    Ok((options, supply))
}

/// Applications by their names, for options that are given as text.
pub(crate) fn supply() -> Supply {
    Supply::finding(find)
}

/// The application that a text names, as on the command line.
fn find(name: &str) -> Result<Arc<dyn Handler>, String> {
    Python::attach(|py| {
        let found = py.import("onionskin.target").and_then(|target| target.call_method1("load", (name,)));
        found.and_then(|app| Ok(handler_of(&app, name)?.0)).map_err(|error| {
            if error.is_instance_of::<ConfigurationError>(py) {
                return error.value(py).to_string();
            }
            from_the_application_on(py, error).display(py);
            format!("{name:?} raised while it was imported; see the traceback")
        })
    })
}

/// The same error, without the frames in front of those of the application.
fn from_the_application_on(py: Python<'_>, error: PyErr) -> PyErr {
    let value = error.value(py);
    let shortened = py
        .import("onionskin.target")
        .and_then(|target| target.call_method1("users_traceback", (value,)))
        .and_then(|trace| value.setattr("__traceback__", trace));
    if shortened.is_ok() { PyErr::from_value(value.clone().into_any()) } else { error }
}

/// A Python value as JSON: None, bool, int, float, str, paths, and sequences and mappings of these. `other` decides on
/// what is none of them.
fn json<F>(value: &Bound<'_, PyAny>, other: &mut F) -> PyResult<Value>
where
    F: FnMut(&Bound<'_, PyAny>) -> PyResult<Value>,
{
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
    if value.hasattr("__fspath__")? {
        return json(&value.call_method0("__fspath__")?, other);
    }
    if value.hasattr("__fspath__")? {
        return json(&value.call_method0("__fspath__")?, other);
    }
    if let Ok(mapping) = value.cast::<PyMapping>() {
        let items = mapping.items()?;
        let pairs = items.iter().map(|item| {
            let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            Ok((key_of(&key)?, json(&value, other)?))
        });
        return Ok(Value::Object(pairs.collect::<PyResult<_>>()?));
    }
    if !value.is_callable() && (value.cast::<PySequence>().is_ok() || value.hasattr("__iter__")?) {
        let members = value.try_iter()?.map(|item| json(&item?, other));
        return Ok(Value::Array(members.collect::<PyResult<_>>()?));
    }
    other(value)
}

/// A key as text: of a number its digits (`{404: "missing.html"}`), of a tuple its parts put together
/// (`{("example.org", "/blog"): app}`).
fn key_of(key: &Bound<'_, PyAny>) -> PyResult<String> {
    let Ok(parts) = key.cast::<PyTuple>() else { return Ok(key.str()?.to_cow()?.into_owned()) };
    let parts = parts.iter().filter(|part| !part.is_none()).map(|part| key_of(&part));
    parts.collect::<PyResult<Vec<_>>>().map(|parts| parts.concat())
}

fn unfit(value: &Bound<'_, PyAny>) -> PyErr {
    let shown = value.get_type();
    PyTypeError::new_err(format!(
        "an option cannot be of {shown}; give a str, a number, a bool, a list or a dict"
    ))
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
