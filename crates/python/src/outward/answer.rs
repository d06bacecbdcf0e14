//! The iterable that the outward door returns where the application's own will not do.

use std::mem;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use onion::body::Kind;
use onion::{Body, BodyError};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{Call, Responding};
use crate::inward::Raised;

/// A response's blocks, one for each `next()`. It has no length on purpose: a server would take that for the number
/// of blocks (PEP 3333).
#[pyclass(frozen, module = "onionskin._core")]
pub(crate) struct Answer {
    state: Mutex<State>,
}

enum State {
    /// The response is not there yet: the application has not called `start_response`.
    Waiting(Call, Responding),
    /// Its body is on the way.
    Body(Call, Body),
    /// At its end, closed, or in the hands of a call further out on this stack.
    Done,
}

impl Answer {
    pub(super) fn waiting(call: Call, responding: Responding) -> Self {
        Answer { state: Mutex::new(State::Waiting(call, responding)) }
    }

    pub(super) fn of(call: Call, body: Body) -> Self {
        Answer { state: Mutex::new(State::Body(call, body)) }
    }

    /// Taken out while it is used: the application may call back into this object.
    fn take(&self) -> State {
        mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Done)
    }

    fn put(&self, state: State) {
        let before = mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), state);
        drop(before); // Python code may run then, so not under the lock.
    }
}

#[pymethods]
impl Answer {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        match self.take() {
            State::Done => Ok(None),
            State::Waiting(call, responding) => self.wait(py, call, responding),
            State::Body(call, body) => self.give(py, call, body),
        }
    }

    /// Closes the application's iterable, if it is still open.
    fn close(&self) -> PyResult<()> {
        match self.take() {
            State::Done => Ok(()),
            State::Waiting(call, responding) => {
                drop(responding);
                call.close_fault()
            }
            State::Body(call, body) => {
                drop(body);
                call.close_fault()
            }
        }
    }
}

impl Answer {
    fn wait<'py>(
        &self,
        py: Python<'py>,
        call: Call,
        mut responding: Responding,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        // No block may come before `start_response` is called (PEP 3333), not even an empty one.
        let response = loop {
            if let Some(response) = call.step(py, |context| responding.as_mut().poll(context))? {
                break response;
            }
        };
        drop(responding);
        let (body, _) = call.start(py, response)?;
        self.give(py, call, body)
    }

    fn give<'py>(
        &self,
        py: Python<'py>,
        call: Call,
        mut body: Body,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let is_file = matches!(body.kind(), Kind::File(_));
        let block = {
            let mut next = pin!(body.next_block());
            if is_file {
                // Ready at once, but a disk may be slow: others may use Python meanwhile.
                let read = py.detach(|| next.as_mut().poll(&mut Context::from_waker(Waker::noop())));
                match read {
                    Poll::Ready(block) => Some(block),
                    Poll::Pending => None,
                }
            } else {
                call.step(py, |context| next.as_mut().poll(context))?
            }
        };
        match block {
            Some(None) => {
                // Kept until close() is called: what the application's close() raised is raised there.
                self.put(State::Body(call, body));
                Ok(None)
            }
            Some(Some(Err(error))) => {
                self.put(State::Body(call, body));
                Err(raise(error))
            }
            Some(Some(Ok(block))) => {
                self.put(State::Body(call, body));
                Ok(Some(PyBytes::new(py, &block)))
            }
            None => {
                self.put(State::Body(call, body));
                Ok(Some(PyBytes::new(py, &Bytes::new())))
            }
        }
    }
}

/// The exception for a body that broke off: the application's own, if it raised one.
pub(super) fn raise(error: BodyError) -> PyErr {
    match error {
        BodyError::Producer(cause) => {
            if let Some(error) = cause.downcast_ref::<Raised>().and_then(Raised::take) {
                return error;
            }
            cause
                .downcast::<PyErr>()
                .map_or_else(|cause| PyRuntimeError::new_err(cause.to_string()), |it| *it)
        }
        error => PyRuntimeError::new_err(error.to_string()),
    }
}
