//! The `wsgi.input` of the server around us, as a body that nobody has touched yet.

use std::any::Any;
use std::task::{Context, Poll};

use bytes::Bytes;
use onion::{BodyError, Foreign};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use crate::inward::block_of;

/// A request body that is read with `read(size)`.
pub(crate) struct OuterInput {
    input: Py<PyAny>,
    /// What is left of CONTENT_LENGTH; `None` where the input ends by itself (`wsgi.input_terminated`).
    left: Option<u64>,
}

impl OuterInput {
    pub(crate) fn new(input: Py<PyAny>, length: Option<u64>) -> Self {
        OuterInput { input, left: length }
    }

    fn read(&mut self, py: Python<'_>) -> Result<Option<Bytes>, BodyError> {
        let size = self.left.unwrap_or(BLOCK).min(BLOCK);
        if size == 0 {
            return Ok(None);
        }
        let block = self.input.bind(py).call_method1("read", (size,)).and_then(|block| block_of(&block));
        match block {
            Err(error) if error.is_instance_of::<PyOSError>(py) => Err(BodyError::Disconnected),
            Err(error) => Err(BodyError::Producer(Box::new(error))),
            Ok(block) if !block.is_empty() => {
                self.left = self.left.map(|left| left.saturating_sub(block.len() as u64));
                Ok(Some(block))
            }
            // Less than CONTENT_LENGTH: the client went away.
            Ok(_) if self.left.is_some() => Err(BodyError::Disconnected),
            Ok(_) => Ok(None),
        }
    }
}

const BLOCK: u64 = 64 * 1024;

impl Foreign for OuterInput {
    fn poll_block(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        Poll::Ready(Python::attach(|py| self.read(py)).transpose())
    }

    fn length(&self) -> Option<u64> {
        self.left
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn as_any(&self) -> &(dyn Any + Send) {
        self
    }
}
