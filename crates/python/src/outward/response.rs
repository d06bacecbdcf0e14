//! From a response to `start_response` and an iterable.

use std::sync::PoisonError;

use http::header::{CONTENT_LENGTH, Entry};
use http::response::Parts;
use http::{HeaderValue, StatusCode};
use onion::body::Kind;
use onion::{Body, Broken, Fault, ReasonPhrase, Response};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::answer::raise;
use super::{Answer, Call};
use crate::inward::{AppIterable, Raised, header_list, status_line};

impl Call {
    /// Calls the server's `start_response` and gives the iterable: the application's own if no layer has touched it.
    pub(super) fn respond(self, py: Python<'_>, response: Response) -> PyResult<Bound<'_, PyAny>> {
        let (body, write) = self.start(py, response)?;
        let mut body = match body.into_untouched::<AppIterable>() {
            Ok(iterable) => match iterable.into_untouched(py, write) {
                Ok(untouched) => return Ok(untouched.into_bound(py)),
                // No list, though all of it may be in memory: a server would take that for a body of one block.
                Err(begun) => return Ok(Bound::new(py, Answer::of(self, Body::foreign(*begun)))?.into_any()),
            },
            Err(body) => body,
        };
        if let Some(bytes) = body.take_bytes() {
            let list = PyList::empty(py);
            if !bytes.is_empty() {
                list.append(PyBytes::new(py, &bytes))?;
            }
            return Ok(list.into_any());
        }
        Ok(Bound::new(py, Answer::of(self, body))?.into_any())
    }

    /// Passes status and headers to the server's `start_response`. Returns the body and the server's `write`.
    pub(super) fn start(&self, py: Python<'_>, response: Response) -> PyResult<(Body, Py<PyAny>)> {
        let (mut parts, mut body) = response.into_parts();
        if let Some(error) = raised(&parts) {
            // Nobody has dealt with it: it is the server's and the outer middleware's to see.
            return Err(error);
        }
        let own = !matches!(body.kind(), Kind::Foreign(_));
        let bodiless = parts.status == StatusCode::NO_CONTENT || parts.status == StatusCode::NOT_MODIFIED;
        if own && !bodiless {
            // A body of the house: the same framing under every server. What a GET would get is not known from an
            // empty answer to HEAD (RFC 9110 section 8.6).
            let length = body.length().filter(|length| *length > 0 || !self.is_head);
            if let (Entry::Vacant(entry), Some(length)) = (parts.headers.entry(CONTENT_LENGTH), length) {
                entry.insert(HeaderValue::from(length));
            }
        }
        if own && (bodiless || self.is_head) {
            body = Body::empty();
        }
        let reason = parts.extensions.get::<ReasonPhrase>().map(|reason| &*reason.0);
        let arguments = (status_line(py, parts.status, reason), header_list(py, &parts.headers)?);
        let write = self.start_response.call1(py, arguments)?;
        if let Some(start) = &*self.relayed.start.lock().unwrap_or_else(PoisonError::into_inner) {
            start.get().handed_on(self.start_response.clone_ref(py), &parts.headers);
        }
        Ok((body, write))
    }

    /// What `close()` of the application's iterable raised, if it was called for us.
    pub(super) fn close_fault(&self) -> PyResult<()> {
        self.relayed.close_fault.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

/// The exception that a response stands for, unless a layer has dealt with it.
fn raised(parts: &Parts) -> Option<PyErr> {
    let fault = parts.extensions.get::<Fault>()?;
    if let Some(broken) = fault.cause::<Broken>() {
        return broken.take().map(raise);
    }
    fault.cause::<Raised>()?.take()
}
