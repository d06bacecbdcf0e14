//! From environ to a request.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use onion::{Body, Connection, Context, Peer, Request, RequestExt, Scheme, Value, path};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::input::OuterInput;
use crate::inward::{Before, Relayed};
use crate::session::SessionMapping;
use crate::strings::bytes_of;

/// The request that `environ` describes, and what the inward door needs to give this environ to the application.
/// `None`: its path and query are too long.
pub(crate) fn read(environ: &Bound<'_, PyDict>) -> PyResult<Option<(Request, Arc<Relayed>)>> {
    let script_name = Bytes::from(value(environ, "SCRIPT_NAME")?);
    let path_info = value(environ, "PATH_INFO")?;
    let targets = [value(environ, "REQUEST_URI")?, value(environ, "RAW_URI")?];
    let Some(uri) = uri(environ, &script_name, &path_info, &targets)? else { return Ok(None) };
    let before = Before {
        method: method(environ)?,
        uri,
        headers: headers(environ)?,
        connection: Arc::new(connection(environ)?),
        script_name: script_name.clone(),
        path_is_empty: path_info.is_empty(),
    };
    let mut request = Request::new(body(environ, &before.headers)?);
    *request.method_mut() = before.method.clone();
    *request.uri_mut() = before.uri.clone();
    *request.headers_mut() = before.headers.clone();
    let target = target(targets, &before.uri);
    let context = Context::new(Arc::clone(&before.connection), target);
    request.extensions_mut().insert(Context { script_name, path_is_empty: before.path_is_empty, ..context });
    let relayed = Arc::new(Relayed {
        environ: environ.clone().unbind(),
        before,
        start: Mutex::new(None),
        application: OnceLock::new(),
        close_fault: Arc::default(),
    });
    request.extensions_mut().insert(Arc::clone(&relayed));
    for key in ONCE_A_REQUEST {
        if let Some(outer) = environ.get_item(key)?
            && let Ok(outer) = outer.cast::<PyString>()
            && let Ok(outer) = HeaderValue::from_bytes(bytes_of(outer)?)
        {
            request.tell(key, Value::Header(outer));
        }
    }
    if let Some(outer) = environ.get_item("onionskin.session")?
        && let Ok(outer) = outer.cast_exact::<SessionMapping>()
    {
        request.extensions_mut().insert(outer.get().session());
    }
    Ok(Some((request, relayed)))
}

/// What layers make once for a request: those outside of a Python middleware have made it already. No client can set
/// these keys.
const ONCE_A_REQUEST: [&str; 2] = ["onionskin.request_id", "onionskin.trace_id"];

/// The bytes of a CGI variable; none if it is missing, which is legal for most.
fn value(environ: &Bound<'_, PyDict>, key: &str) -> PyResult<Vec<u8>> {
    match environ.get_item(key)? {
        Some(value) => Ok(bytes_of(value.cast::<PyString>()?)?.to_vec()),
        None => Ok(Vec::new()),
    }
}

fn method(environ: &Bound<'_, PyDict>) -> PyResult<Method> {
    let method = value(environ, "REQUEST_METHOD")?;
    Method::from_bytes(&method).map_err(|_| {
        PyValueError::new_err(format!("environ: {:?} is no REQUEST_METHOD", String::from_utf8_lossy(&method)))
    })
}

/// The path below the mount point, and the query; `None` if they are too long.
///
/// The path is spelled as the client spelled it if the server shows that, since `PATH_INFO` has lost the difference
/// between `%2F` and `/`.
fn uri(
    environ: &Bound<'_, PyDict>,
    script_name: &[u8],
    path_info: &[u8],
    targets: &[Vec<u8>],
) -> PyResult<Option<Uri>> {
    let query = value(environ, "QUERY_STRING")?;
    let spelled = targets.iter().find_map(|target| path::below(target, script_name, path_info));
    let mut target = spelled.map_or_else(|| path::encode(path_info).into_owned(), str::to_owned);
    if !target.starts_with('/') && target != "*" {
        target.insert(0, '/');
    }
    if !query.is_empty() {
        target.push('?');
        // As it came, but for what a request target can't hold.
        target.push_str(&path::encode_query(&query));
    }
    if target.len() > LONGEST {
        return Ok(None);
    }
    target
        .parse()
        .map(Some)
        .map_err(|_| PyValueError::new_err(format!("environ: {target:?} is no request target")))
}

/// The longest path and query that [`Uri`] takes.
const LONGEST: usize = u16::MAX as usize - 1;

/// The request target as the client sent it, if the server shows it.
fn target(targets: [Vec<u8>; 2], uri: &Uri) -> Bytes {
    let sent = targets.into_iter().find(|target| !target.is_empty());
    sent.map_or_else(|| uri.to_string().into(), Bytes::from)
}

fn headers(environ: &Bound<'_, PyDict>) -> PyResult<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(16);
    for (key, value) in environ.iter() {
        let (Ok(key), Ok(value)) = (key.cast::<PyString>(), value.cast::<PyString>()) else { continue };
        let key = key.to_str()?;
        let name = match key.strip_prefix("HTTP_") {
            Some(name) => HeaderName::from_bytes(name.to_ascii_lowercase().replace('_', "-").as_bytes()),
            None if key == "CONTENT_TYPE" => Ok(CONTENT_TYPE),
            None if key == "CONTENT_LENGTH" => Ok(CONTENT_LENGTH),
            None => continue,
        };
        let value = bytes_of(value)?;
        // An empty CONTENT_TYPE or CONTENT_LENGTH is none (PEP 3333). What no header can be is no header.
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value))
            && (!value.is_empty() || key.starts_with("HTTP_"))
        {
            headers.append(name, value);
        }
    }
    Ok(headers)
}

/// A missing or odd REMOTE_ADDR is an unknown one.
fn connection(environ: &Bound<'_, PyDict>) -> PyResult<Connection> {
    let text = |key| value(environ, key).map(|value| String::from_utf8_lossy(&value).into_owned());
    let address =
        |key| text(key).map(|text| text.parse::<IpAddr>().ok().map(|address| address.to_canonical()));
    let port = |key| text(key).map(|text| text.parse().ok());
    let peer = Peer { address: address("REMOTE_ADDR")?, port: port("REMOTE_PORT")? };
    let local = Peer { address: address("SERVER_NAME")?, port: port("SERVER_PORT")? };
    let scheme = if value(environ, "wsgi.url_scheme")? == b"https" { Scheme::Https } else { Scheme::Http };
    Ok(Connection { peer, local, scheme, ..Connection::default() })
}

fn body(environ: &Bound<'_, PyDict>, headers: &HeaderMap) -> PyResult<Body> {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let terminated = match environ.get_item("wsgi.input_terminated")? {
        Some(terminated) => terminated.is_truthy()?,
        None => false,
    };
    let Some(input) = environ.get_item("wsgi.input")? else { return Ok(Body::empty()) };
    let chunked = headers.contains_key(http::header::TRANSFER_ENCODING);
    Ok(match length {
        Some(length) => Body::foreign(OuterInput::new(input.unbind(), Some(length))),
        None if terminated && chunked => Body::foreign(OuterInput::new(input.unbind(), None)),
        // Without a length there is no body (PEP 3333); the input stays in environ for who knows better.
        None => Body::foreign(OuterInput::new(input.unbind(), Some(0))),
    })
}
