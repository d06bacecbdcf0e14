//! From the values of a session to JSON and back, as Python's `json` does it: tuples come back as lists, and keys as
//! strings.

use std::fmt::Write;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// The values as a JSON object.
pub(super) fn dumps(values: &Bound<'_, PyDict>) -> PyResult<String> {
    let mut json = String::with_capacity(256);
    write_dict(&mut json, values, 0).map_err(|unfit| unfit.error(""))?;
    Ok(json)
}

/// The values out of a JSON object.
pub(super) fn loads(py: Python<'_>, json: &str) -> PyResult<Py<PyDict>> {
    static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    if json == "{}" {
        return Ok(PyDict::new(py).unbind());
    }
    let values = LOADS.import(py, "json", "loads")?.call1((json,))?;
    Ok(values.cast_into::<PyDict>()?.unbind())
}

/// Rejects a key or a value that is not JSON.
pub(super) fn check(key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let mut json = String::new();
    write_key(&mut json, key).map_err(|unfit| unfit.error(""))?;
    write(&mut json, value, 1).map_err(|unfit| unfit.error(&place(key)))
}

/// What can't be JSON, and where it is within the value.
struct Unfit {
    place: String,
    what: String,
}

impl Unfit {
    fn new(what: impl Into<String>) -> Self {
        Unfit { place: String::new(), what: what.into() }
    }

    fn within(mut self, place: &str) -> Self {
        self.place.insert_str(0, place);
        self
    }

    fn error(self, place: &str) -> PyErr {
        let Unfit { place: rest, what } = self;
        PyTypeError::new_err(format!(
            "session{place}{rest}: {what}; expected None, a boolean, number, string, list, tuple or dict"
        ))
    }
}

fn write(json: &mut String, value: &Bound<'_, PyAny>, depth: usize) -> Result<(), Unfit> {
    if depth > DEEPEST {
        return Err(Unfit::new(format!("a value nested more than {DEEPEST} deep is not valid")));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return write_text(json, text);
    }
    if value.is_none() {
        json.push_str("null");
    } else if let Ok(flag) = value.cast::<PyBool>() {
        json.push_str(if flag.is_true() { "true" } else { "false" });
    } else if let Ok(integer) = value.cast::<PyInt>() {
        return write_integer(json, integer);
    } else if let Ok(float) = value.cast::<PyFloat>() {
        write_float(json, float.value());
    } else if let Ok(list) = value.cast::<PyList>() {
        return write_members(json, list.iter(), depth);
    } else if let Ok(tuple) = value.cast::<PyTuple>() {
        return write_members(json, tuple.iter(), depth);
    } else if let Ok(dict) = value.cast::<PyDict>() {
        return write_dict(json, dict, depth);
    } else {
        return Err(Unfit::new(format!("{} is not a JSON value", value.get_type())));
    }
    Ok(())
}

fn write_members<'py>(
    json: &mut String,
    members: impl Iterator<Item = Bound<'py, PyAny>>,
    depth: usize,
) -> Result<(), Unfit> {
    json.push('[');
    for (index, member) in members.enumerate() {
        if index > 0 {
            json.push(',');
        }
        write(json, &member, depth + 1).map_err(|unfit| unfit.within(&format!("[{index}]")))?;
    }
    json.push(']');
    Ok(())
}

fn write_dict(json: &mut String, dict: &Bound<'_, PyDict>, depth: usize) -> Result<(), Unfit> {
    json.push('{');
    for (index, (key, value)) in dict.iter().enumerate() {
        if index > 0 {
            json.push(',');
        }
        write_key(json, &key)?;
        json.push(':');
        write(json, &value, depth + 1).map_err(|unfit| unfit.within(&place(&key)))?;
    }
    json.push('}');
    Ok(())
}

/// A key: as a string, whatever it is.
fn write_key(json: &mut String, key: &Bound<'_, PyAny>) -> Result<(), Unfit> {
    if let Ok(text) = key.cast::<PyString>() {
        return write_text(json, text);
    }
    json.push('"');
    if key.is_none() || key.is_instance_of::<PyInt>() || key.is_instance_of::<PyFloat>() {
        write(json, key, 0)?;
    } else {
        return Err(Unfit::new(format!("a key of {} is not valid in JSON", key.get_type())));
    }
    json.push('"');
    Ok(())
}

fn write_text(json: &mut String, text: &Bound<'_, PyString>) -> Result<(), Unfit> {
    let quoted = match text.to_str() {
        Ok(text) => serde_json::to_string(text).map_err(|error| error.to_string()),
        // It has lone surrogates: they can only be escaped.
        Err(_) => escaped(text).map_err(|error| error.to_string()),
    };
    json.push_str(&quoted.map_err(Unfit::new)?);
    Ok(())
}

fn escaped(text: &Bound<'_, PyString>) -> PyResult<String> {
    static DUMPS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    DUMPS.import(text.py(), "json", "dumps")?.call1((text,))?.extract()
}

fn write_float(json: &mut String, float: f64) {
    if float.is_nan() {
        json.push_str("NaN");
    } else if float.is_infinite() {
        json.push_str(if float > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        // The shortest digits that come back as this very number.
        let _ = write!(json, "{float:?}");
    }
}

fn write_integer(json: &mut String, integer: &Bound<'_, PyInt>) -> Result<(), Unfit> {
    if let Ok(small) = integer.extract::<i64>() {
        let _ = write!(json, "{small}");
        return Ok(());
    }
    // An int's own digits, whatever a class derived from it shows.
    let digits = integer.py().get_type::<PyInt>().call_method1("__repr__", (integer,));
    match digits.and_then(|digits| digits.extract::<String>()) {
        Ok(digits) => json.push_str(&digits),
        Err(_) => {
            return Err(Unfit::new(
                "an integer of more digits than sys.get_int_max_str_digits() is not valid",
            ));
        }
    }
    Ok(())
}

/// A key, as it stands in the path to a value.
fn place(key: &Bound<'_, PyAny>) -> String {
    key.repr().map_or_else(|_| "[?]".to_owned(), |key| format!("[{key}]"))
}

/// A list that holds itself ends here.
const DEEPEST: usize = 500;
