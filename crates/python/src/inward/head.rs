//! Response heads between Python and Rust: `"200 OK"` and a list of pairs on one side, `http` types on the other.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use onion::{Body, ReasonPhrase, Response};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::strings::{bytes_of, latin1};

/// What an application gave to `start_response`.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// The reason phrase, where it is not the registered one.
    pub(crate) reason: Option<Bytes>,
    pub(crate) headers: HeaderMap,
}

impl Head {
    /// Reads what PEP 3333 allows; all else is the application's fault, and raised back at it.
    pub(crate) fn read(status: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<Self> {
        let status = status.cast::<PyString>().map_err(|_| {
            let given = status.get_type();
            PyTypeError::new_err(format!("start_response: the status must be a str, not {given}"))
        })?;
        let (status, reason) = read_status(bytes_of(status)?)?;
        let list = headers.cast::<PyList>().map_err(|_| {
            let given = headers.get_type();
            PyTypeError::new_err(format!("start_response: the headers must be a list of tuples, not {given}"))
        })?;
        let mut map = onion::reuse::headers();
        map.reserve(list.len());
        for pair in list.iter() {
            let (name, value) = read_pair(&pair)?;
            map.append(name, value);
        }
        Ok(Head { status, reason, headers: map })
    }

    /// The response with this head.
    pub(crate) fn with_body(self, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if let Some(reason) = self.reason {
            response.extensions_mut().insert(ReasonPhrase(reason));
        }
        response
    }
}

fn read_status(line: &[u8]) -> PyResult<(StatusCode, Option<Bytes>)> {
    let refused = || {
        let line = String::from_utf8_lossy(line);
        PyValueError::new_err(format!(
            "start_response: {line:?} is no status; give three digits from 200 to 599, a space and a reason"
        ))
    };
    let (digits, reason) = line.split_at_checked(3).ok_or_else(refused)?;
    let status = StatusCode::from_bytes(digits).map_err(|_| refused())?;
    let reason = match reason {
        [] => reason,
        [b' ', reason @ ..] => reason,
        _ => return Err(refused()),
    };
    let printable = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    if status.is_informational() || status.as_u16() > 599 || !reason.iter().all(printable) {
        return Err(refused());
    }
    let registered = status.canonical_reason().is_some_and(|registered| registered.as_bytes() == reason);
    Ok((status, (!registered).then(|| Bytes::copy_from_slice(reason))))
}

fn read_pair(pair: &Bound<'_, PyAny>) -> PyResult<(HeaderName, HeaderValue)> {
    let wrong = || {
        let shown = pair.repr().map(|shown| shown.to_string()).unwrap_or_default();
        PyTypeError::new_err(format!("start_response: a header must be a tuple of two str, not {shown}"))
    };
    let tuple = pair.cast::<PyTuple>().map_err(|_| wrong())?;
    if tuple.len() != 2 {
        return Err(wrong());
    }
    let (name, value) = (tuple.get_item(0)?, tuple.get_item(1)?);
    let name = name.cast::<PyString>().map_err(|_| wrong())?;
    let value = value.cast::<PyString>().map_err(|_| wrong())?;
    let refused = |what: &str| PyValueError::new_err(format!("start_response: {what} in {pair}"));
    let parsed = HeaderName::from_bytes(bytes_of(name)?).map_err(|_| refused("no valid header name"))?;
    if is_hop_by_hop(&parsed) {
        return Err(refused("a hop-by-hop header, which is the server's to send (PEP 3333),"));
    }
    let value = bytes_of(value)?;
    let parsed_value = HeaderValue::from_bytes(trim(value)).map_err(|_| refused("a control character"))?;
    Ok((parsed, parsed_value))
}

/// Blanks around a value are not part of it (RFC 9110 section 5.5). A line break at its end is a fault, not a blank.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ]
    .contains(name)
        || name == "keep-alive"
}

/// The status line as `start_response` takes it.
pub(crate) fn status_line<'py>(
    py: Python<'py>,
    status: StatusCode,
    reason: Option<&[u8]>,
) -> Bound<'py, PyString> {
    let reason = reason.unwrap_or_else(|| status.canonical_reason().unwrap_or("Unknown").as_bytes());
    latin1(py, &[status.as_str().as_bytes(), b" ", reason].concat())
}

/// The headers as `start_response` takes them: a new list each time, since who gets it may change it.
pub(crate) fn header_list<'py>(py: Python<'py>, headers: &HeaderMap) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for (name, value) in headers {
        list.append((http1::names::registered(name), latin1(py, value.as_bytes())))?;
    }
    Ok(list)
}
