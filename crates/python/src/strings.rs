//! Python strings that hold bytes: one code point a byte, as PEP 3333 wants them ("bytes as latin-1").

use std::borrow::Cow;

use http::{HeaderName, header};
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;
use rustc_hash::FxHashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// The `str` that has one code point for each of `bytes`.
pub(crate) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    // SAFETY: pointer and length are those of a slice; the result is a new reference to a str, or null on failure,
    // which `from_owned_ptr` turns into a panic: latin-1 decoding fails only when memory is exhausted.
    unsafe {
        let length = ffi::Py_ssize_t::try_from(bytes.len()).expect("a slice is no longer than isize::MAX");
        let text = ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), length, std::ptr::null());
        Bound::from_owned_ptr(py, text).cast_into_unchecked()
    }
}

/// The `str` of a text that is known to be ASCII: nothing has to be looked at.
pub(crate) fn ascii<'py>(py: Python<'py>, text: &str) -> Bound<'py, PyString> {
    debug_assert!(text.is_ascii(), "{text:?} is not ASCII");
    // SAFETY: a new str of so many characters up to 127 has room for just that many bytes, which nobody has seen yet;
    // null, when memory is exhausted, becomes a panic in `from_owned_ptr`.
    unsafe {
        let length = ffi::Py_ssize_t::try_from(text.len()).expect("a str is no longer than isize::MAX");
        let made = Bound::from_owned_ptr(py, ffi::PyUnicode_New(length, 127));
        ffi::PyUnicode_DATA(made.as_ptr()).cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len());
        made.cast_into_unchecked()
    }
}

/// Returns the bytes that `text` stands for: one for each of its code points.
///
/// A string whose code points are all below U+0100 stores just these bytes (PEP 393), so nothing is copied.
pub(crate) fn bytes_of<'a>(text: &'a Bound<'_, PyString>) -> PyResult<&'a [u8]> {
    let object = text.as_ptr();
    // SAFETY: `object` is a str. Of kind 1 (and ready, which it always is from 3.12 on) it holds `length` bytes, which
    // don't change while it lives; `text` keeps it alive for 'a.
    unsafe {
        if ffi::PyUnicode_READY(object) == 0 && ffi::PyUnicode_KIND(object) == ffi::PyUnicode_1BYTE_KIND {
            let length = ffi::PyUnicode_GET_LENGTH(object);
            let length = usize::try_from(length).expect("a length is not negative");
            return Ok(std::slice::from_raw_parts(ffi::PyUnicode_DATA(object).cast(), length));
        }
    }
    let message = format!("{} has characters above U+00FF (PEP 3333 allows latin-1 only)", text.repr()?);
    Err(PyValueError::new_err(message))
}

/// The environ keys of request headers: `HTTP_ACCEPT` for `accept`, made once and kept.
pub(crate) struct HeaderKeys {
    known: FxHashMap<HeaderName, Py<PyString>>,
    // Names that came up later. Bounded: a client must not make us remember without end.
    learned: Mutex<FxHashMap<HeaderName, Py<PyString>>>,
}

const LEARNED_MOST: usize = 512;
const LEARNED_LONGEST: usize = 64;

impl HeaderKeys {
    pub(crate) fn new(py: Python<'_>) -> Self {
        let known = KNOWN
            .iter()
            .map(|name| HeaderName::from_static(name))
            .map(|name| {
                let key = make_key(py, &name);
                (name, key)
            })
            .collect();
        HeaderKeys { known, learned: Mutex::default() }
    }

    /// The key for `name`.
    pub(crate) fn get<'py>(&self, py: Python<'py>, name: &HeaderName) -> Bound<'py, PyString> {
        if let Some(key) = self.known.get(name) {
            return key.bind(py).clone();
        }
        if let Some(key) = self.learned().get(name) {
            return key.bind(py).clone();
        }
        // Not interned: the client chooses the name, and CPython 3.12.0 to 3.12.4 never free what is interned.
        let key = PyString::new(py, &key_of(name)).unbind();
        let mut learned = self.learned();
        if learned.len() < LEARNED_MOST && name.as_str().len() <= LEARNED_LONGEST {
            learned.insert(name.clone(), key.clone_ref(py));
        }
        drop(learned);
        key.into_bound(py)
    }

    fn learned(&self) -> MutexGuard<'_, FxHashMap<HeaderName, Py<PyString>>> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The environ key that layers tell the application something under. One that is known at compile time is kept.
#[expect(clippy::ptr_arg, reason = "it matters whether it is borrowed")]
pub(crate) fn told_key<'py>(py: Python<'py>, key: &Cow<'static, str>) -> Bound<'py, PyString> {
    static KEPT: LazyLock<Mutex<FxHashMap<&'static str, Py<PyString>>>> = LazyLock::new(Mutex::default);
    let Cow::Borrowed(key) = *key else { return PyString::new(py, key) };
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.entry(key).or_insert_with(|| PyString::intern(py, key).unbind()).bind(py).clone()
}

fn make_key(py: Python<'_>, name: &HeaderName) -> Py<PyString> {
    PyString::intern(py, &key_of(name)).unbind()
}

/// `HTTP_X_REQUEST_ID` for `x-request-id`. Content-Type and Content-Length have keys without prefix (RFC 3875
/// section 4.1.2).
pub(crate) fn key_of(name: &HeaderName) -> String {
    let upper = name.as_str().to_ascii_uppercase().replace('-', "_");
    if name == header::CONTENT_TYPE || name == header::CONTENT_LENGTH {
        upper
    } else {
        format!("HTTP_{upper}")
    }
}

const KNOWN: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "dnt",
    "expect",
    "forwarded",
    "from",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "max-forwards",
    "origin",
    "pragma",
    "range",
    "referer",
    "te",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    "x-requested-with",
    "x-csrftoken",
    "traceparent",
    "tracestate",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-fetch-user",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "priority",
];
