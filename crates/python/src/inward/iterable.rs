//! The iterable that an application returned, as a body that nobody has touched yet.

use std::any::Any;
use std::error::Error;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use onion::{BodyError, Foreign, ThreadBound};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyIterator, PyList, PyTuple};

use super::written::Written;
use super::{Raised, Relayed, StartResponse};
use crate::forks::in_parent;
use crate::log::Of;
use crate::overdue::Timed;
use crate::permits::Permit;
use crate::threads::attached;

/// An application's iterable. Its `close()` is called exactly once: at its end, on an error, or when it is dropped
/// (the client went away, the request was HEAD, a layer put another body in its place).
pub(crate) struct AppIterable {
    iterable: Py<PyAny>,
    iterator: Option<Py<PyIterator>>,
    /// What goes out before all blocks.
    written: Written,
    /// The block that was taken before the head could go out.
    first: Option<Bytes>,
    /// The call's `start_response`, for data written while the iterable is read.
    start: Option<Py<StartResponse>>,
    /// Whether the iterator has ended.
    ended: bool,
    closed: bool,
    keeper: Keeper,
}

/// On whose account the iterable is open.
pub(crate) enum Keeper {
    /// Our server's: its permit and its thread are taken until the iterable is closed, and faults go to the log.
    Server { of: Of, timed: Option<Timed>, _permit: Permit, _bound: ThreadBound },
    /// That of the server around us: what goes wrong in `close()` is raised at it.
    Outside { relayed: Arc<Relayed> },
}

impl Keeper {
    /// The request that the iterable answers.
    fn request(&self, py: Python<'_>) -> Of {
        match self {
            Keeper::Server { of, .. } => of.clone(),
            Keeper::Outside { relayed } => relayed.untold(py).of,
        }
    }
}

/// An exception out of `close()`, for whoever can raise it.
pub(crate) type CloseFault = Arc<Mutex<Option<PyErr>>>;

impl AppIterable {
    pub(crate) fn new(iterable: Py<PyAny>, keeper: Keeper) -> Self {
        AppIterable {
            iterable,
            iterator: None,
            written: Written::default(),
            first: None,
            start: None,
            ended: false,
            closed: false,
            keeper,
        }
    }

    /// Puts `block` before what is still to come.
    pub(crate) fn put_first(&mut self, block: Bytes) {
        self.first = Some(block);
    }

    /// Puts `written` before all that is still to come.
    pub(crate) fn put_before(&mut self, written: Written) {
        self.written = written;
    }

    /// Sends what the application passes to `write()` while its iterable is read, before the next block and at the end.
    /// PEP 3333 forbids such calls, but applications make them (dulwich, Mercurial).
    pub(crate) fn follow(&mut self, start: Py<StartResponse>) {
        self.start = Some(start);
    }

    /// The application's own object, if nothing was taken from it; the caller closes it. From then on `write()` passes
    /// data to `write`, that of the server around us.
    pub(crate) fn into_untouched(
        mut self: Box<Self>,
        py: Python<'_>,
        write: Py<PyAny>,
    ) -> Result<Py<PyAny>, Box<Self>> {
        if self.iterator.is_some() || self.first.is_some() || !self.written.is_empty() {
            return Err(self);
        }
        self.closed = true;
        if let Some(start) = &self.start {
            start.bind(py).get().pass_writes_to(write);
        }
        Ok(self.iterable.clone_ref(py))
    }

    /// All blocks, if they are in memory: what is left of a list or tuple, which can neither be closed nor waited for.
    fn whole(&mut self, py: Python<'_>) -> Option<Bytes> {
        if self.iterator.is_some() || self.closed {
            return None;
        }
        let iterable = self.iterable.bind(py);
        let blocks = match iterable.cast_exact::<PyList>() {
            Ok(list) => list.to_tuple(),
            Err(_) => iterable.cast_exact::<PyTuple>().ok()?.clone(),
        };
        // What is no bytes is found, and told, when it is its turn.
        let blocks = blocks.iter_borrowed().map(|block| Some(share(&*block.cast::<PyBytes>().ok()?)));
        let mut blocks = blocks.collect::<Option<Vec<_>>>()?;
        let written = self.written.in_memory()?.freeze();
        self.closed = true;
        blocks.splice(..0, self.first.take());
        blocks.splice(..0, (!written.is_empty()).then_some(written));
        Some(if let [only] = &mut blocks[..] { mem::take(only) } else { blocks.concat().into() })
    }

    /// The next block, `None` at the end. It may be empty.
    pub(crate) fn next(&mut self, py: Python<'_>) -> PyResult<Option<Bytes>> {
        if let Some(block) = self.written.next_block()?.or_else(|| self.first.take()) {
            return Ok(Some(block));
        }
        if self.closed || self.ended {
            return Ok(None);
        }
        let iterator = match &self.iterator {
            Some(iterator) => iterator.bind(py),
            None => self.iterator.insert(self.iterable.bind(py).try_iter()?.unbind()).bind(py),
        };
        let next = || iterator.clone().next().transpose();
        let block = in_parent(py, || self.keeper.request(py), next)?;
        let block = block.map(|block| block_of(&block)).transpose()?;
        self.ended = block.is_none();
        match self.start.as_ref().map(|start| start.bind(py).get()).filter(|start| start.has_written()) {
            None => Ok(block),
            Some(start) => {
                self.written = start.take_written();
                self.first = block;
                Ok(self.written.next_block()?.or_else(|| self.first.take()))
            }
        }
    }

    /// Calls the iterable's `close()`, unless that was done.
    pub(crate) fn close(&mut self, py: Python<'_>) -> PyResult<()> {
        if mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        if let Keeper::Server { timed, .. } = &mut self.keeper {
            // What it has raised, and has not arrived yet, is not for `close()`.
            drop(timed.take());
        }
        self.iterator = None;
        match self.iterable.bind(py).getattr_opt("close")? {
            Some(close) => in_parent(py, || self.keeper.request(py), || close.call0().map(|_| ())),
            None => Ok(()),
        }
    }

    fn close_quietly(&mut self, py: Python<'_>) {
        let Err(error) = self.close(py) else { return };
        match &self.keeper {
            Keeper::Server { of, .. } => of.tell(py, "the response's close() raised", &error),
            Keeper::Outside { relayed } => {
                *relayed.close_fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
        }
    }
}

/// Whether an iterable reads a regular file: an open one, or the file wrapper of some server around one.
fn is_file(iterable: &Bound<'_, PyAny>) -> bool {
    let is_regular = |file: &Bound<'_, PyAny>| -> PyResult<bool> {
        let mode: u32 = file
            .py()
            .import("os")?
            .call_method1("stat", (file.call_method0("fileno")?,))?
            .getattr("st_mode")?
            .extract()?;
        Ok(mode & REGULAR_MASK == REGULAR)
    };
    let inside = iterable.getattr_opt("filelike").ok().flatten();
    is_regular(inside.as_ref().unwrap_or(iterable)).unwrap_or(false)
}

/// `S_IFMT` and `S_IFREG`.
const REGULAR_MASK: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// The bytes of one block.
pub(crate) fn block_of(block: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    let block = block.cast::<PyBytes>().map_err(|_| {
        let given = block.get_type();
        PyTypeError::new_err(format!("the application's iterable must yield bytes, not {given} (PEP 3333)"))
    })?;
    Ok(share(block))
}

/// Small blocks are copied; large ones are kept alive and read where they are.
pub(crate) fn share(block: &Bound<'_, PyBytes>) -> Bytes {
    if block.as_bytes().len() <= COPY_MOST {
        Bytes::copy_from_slice(block.as_bytes())
    } else {
        Bytes::from_owner(PyBackedBytes::from(block.clone()))
    }
}

const COPY_MOST: usize = 16 * 1024;

impl Foreign for AppIterable {
    fn poll_block(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        attached(|py| match self.next(py) {
            Ok(Some(block)) => Poll::Ready(Some(Ok(block))),
            Ok(None) => {
                self.close_quietly(py);
                Poll::Ready(None)
            }
            Err(error) => {
                let cause: Box<dyn Error + Send + Sync> = match &self.keeper {
                    Keeper::Server { of, .. } => {
                        of.tell(py, "the application raised in the middle of its response", &error);
                        Box::new(error)
                    }
                    Keeper::Outside { relayed } => Box::new(Raised::untold(error, relayed.untold(py))),
                };
                self.close_quietly(py);
                Poll::Ready(Some(Err(BodyError::Producer(cause))))
            }
        })
    }

    fn take_whole(&mut self) -> Option<Bytes> {
        attached(|py| self.whole(py))
    }

    fn may_pause(&self) -> bool {
        attached(|py| !is_file(self.iterable.bind(py)))
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn as_any(&self) -> &(dyn Any + Send) {
        self
    }
}

impl Drop for AppIterable {
    fn drop(&mut self) {
        if !self.closed {
            attached(|py| self.close_quietly(py));
        }
    }
}
