//! The `start_response` that our doors give to an application, and the `write` that it returns.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use pyo3::exceptions::{PyAssertionError, PyConnectionResetError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::head::{Head, header_list, status_line};
use super::writing::Outlet;
use super::written::Written;
use crate::changes::HeaderChanges;

/// One request's `start_response` and `write` (PEP 3333, "The `start_response()` Callable").
///
/// Python code may call it from anywhere: from a finaliser that runs when an object is made or dropped. So nothing of
/// Python's is made, called or dropped while the state is locked.
#[pyclass(frozen, module = "onionskin._core")]
pub(crate) struct StartResponse {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    called: bool,
    head: Option<Head>,
    sent: Sent,
    /// What came by `write()` and is not taken yet.
    written: Written,
    /// Where what comes by `write()` goes at once, if it can.
    outlet: Option<Box<Outlet>>,
    /// The `write` of the server around us, if that server reads the application's own iterable.
    outer_write: Option<Py<PyAny>>,
}

/// How far the head has gone.
#[derive(Default)]
enum Sent {
    /// It may still be replaced.
    #[default]
    No,
    /// Its first bytes are with the client, or on their way.
    Yes,
    /// The layers have it: they may have begun to take the body, and a replacement would come too late for them.
    Offered,
    /// It was given to the `start_response` of the server around us, after the layers had changed it.
    HandedOn { outer: Py<PyAny>, changes: HeaderChanges },
}

#[pymethods]
impl StartResponse {
    /// `start_response(status, headers, exc_info=None)`, which returns `write`: this object again. Called with one
    /// argument it is `write(data)`. So no request pays for a second object that hardly any uses.
    #[pyo3(signature = (status, headers = None, exc_info = None, /))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        status: &Bound<'py, PyAny>,
        headers: Option<&Bound<'py, PyAny>>,
        exc_info: Option<&Bound<'py, PyTuple>>,
    ) -> PyResult<Option<Bound<'py, Self>>> {
        let (py, this) = (slf.py(), slf.get());
        let Some(headers) = headers else {
            this.write(py, status)?;
            return Ok(None);
        };
        let head = Head::read(status, headers)?;
        match exc_info {
            None => this.set(head)?,
            Some(exc_info) => this.replace(py, head, exc_info)?,
        }
        Ok(Some(slf.clone()))
    }
}

impl StartResponse {
    pub(crate) fn new(outlet: Option<Box<Outlet>>) -> Self {
        StartResponse { state: Mutex::new(State { outlet, ..State::default() }) }
    }

    /// Takes the outlet back when the call is over.
    pub(crate) fn take_outlet(&self) -> Option<Box<Outlet>> {
        self.state().outlet.take()
    }

    /// Lends the outlet while the application's iterable is read.
    pub(crate) fn put_outlet(&self, outlet: Option<Box<Outlet>>) {
        let before = mem::replace(&mut self.state().outlet, outlet);
        drop(before);
    }

    /// Passes data given to `write()` from now on to the `write` of the server around us.
    pub(crate) fn pass_writes_to(&self, write: Py<PyAny>) {
        let before = self.state().outer_write.replace(write);
        drop(before);
    }

    /// Whether the application has called it.
    pub(crate) fn was_called(&self) -> bool {
        self.state().called
    }

    /// Takes the head to send it: from now on it can't be replaced any more.
    pub(crate) fn send_head(&self) -> PyResult<Head> {
        let mut state = self.state();
        state.sent = Sent::Yes;
        state.head.take().ok_or_else(not_called)
    }

    /// The head as it is now; it may still be replaced.
    pub(crate) fn current_head(&self) -> PyResult<Head> {
        self.state().head.clone().ok_or_else(not_called)
    }

    /// The head, for the layers on its way to the server around us.
    pub(crate) fn offer_head(&self) -> PyResult<Head> {
        let mut state = self.state();
        if matches!(state.sent, Sent::No) {
            state.sent = Sent::Offered;
        }
        state.head.clone().ok_or_else(not_called)
    }

    /// Whether the application has used `write()`, and what it wrote is not taken yet.
    pub(crate) fn has_written(&self) -> bool {
        !self.state().written.is_empty()
    }

    /// The same, if it is all in memory.
    pub(crate) fn written_in_memory(&self) -> Option<BytesMut> {
        self.state().written.in_memory()
    }

    /// What the application wrote since this was last asked.
    pub(crate) fn take_written(&self) -> Written {
        mem::take(&mut self.state().written)
    }

    /// Remembers that the head went on to `outer`, with `final_headers` in place of the application's own.
    pub(crate) fn handed_on(&self, outer: Py<PyAny>, final_headers: &HeaderMap) {
        let mut state = self.state();
        if matches!(state.sent, Sent::Yes) {
            return;
        }
        let own = state.head.as_ref().map(|head| &head.headers);
        let changes = own.map(|own| HeaderChanges::between(own, final_headers)).unwrap_or_default();
        let before = mem::replace(&mut state.sent, Sent::HandedOn { outer, changes });
        drop(state);
        drop(before);
    }

    fn set(&self, head: Head) -> PyResult<()> {
        let mut state = self.state();
        if state.called {
            let message = "start_response was called again without exc_info (PEP 3333 allows it once)";
            return Err(PyAssertionError::new_err(message));
        }
        state.called = true;
        state.head = Some(head);
        Ok(())
    }

    fn replace(&self, py: Python<'_>, mut head: Head, exc_info: &Bound<'_, PyTuple>) -> PyResult<()> {
        let mut state = self.state();
        match &state.sent {
            Sent::No => {
                state.called = true;
                state.head = Some(head);
                Ok(())
            }
            Sent::Yes | Sent::Offered => {
                drop(state);
                Err(exception_of(exc_info)?)
            }
            Sent::HandedOn { outer, changes } => {
                // The server around us knows whether it can still be replaced: it raises if not.
                let outer = outer.clone_ref(py);
                changes.apply(&mut head.headers);
                drop(state);
                let arguments = (
                    status_line(py, head.status, head.reason.as_deref()),
                    header_list(py, &head.headers)?,
                    exc_info,
                );
                outer.call1(py, arguments)?;
                self.state().head = Some(head);
                Ok(())
            }
        }
    }

    fn write(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let block = data.cast::<PyBytes>().map_err(|_| {
            let given = data.get_type();
            PyTypeError::new_err(format!("write: the data must be bytes, not {given}"))
        })?;
        let block = block.as_bytes();
        if block.is_empty() {
            return Ok(());
        }
        let mut state = self.state();
        let outer_write = state.outer_write.as_ref().map(|write| write.clone_ref(py));
        if let Some(write) = outer_write {
            drop(state);
            if !write.bind(py).is_callable() {
                let message = "write: the server's start_response returned no write() (PEP 3333)";
                return Err(PyRuntimeError::new_err(message));
            }
            return write.call1(py, (data,)).map(drop);
        }
        let first = matches!(state.sent, Sent::No | Sent::Offered);
        if first {
            // The application may not replace the head any more, whether its first bytes have left or are kept.
            state.sent = Sent::Yes;
        }
        let Some(mut outlet) = state.outlet.take() else {
            return Ok(state.written.push(block)?);
        };
        let head = if first { state.head.take() } else { None };
        drop(state);
        let sent = outlet.write(py, head, Bytes::copy_from_slice(block));
        self.put_outlet(Some(outlet));
        sent?.map_err(|_| PyConnectionResetError::new_err("write: the client has gone"))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The exception of an `exc_info` triple, with its traceback.
fn exception_of(exc_info: &Bound<'_, PyTuple>) -> PyResult<PyErr> {
    let (value, traceback) = (exc_info.get_item(1)?, exc_info.get_item(2)?);
    let value = value.call_method1("with_traceback", (traceback,))?;
    Ok(PyErr::from_value(value))
}

fn not_called() -> PyErr {
    PyRuntimeError::new_err("the application gave a response without having called start_response (PEP 3333)")
}
