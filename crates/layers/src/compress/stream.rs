//! A body that is compressed as it goes.
//!
//! Nobody can tell how long the next block of a Python iterable will take, and while it takes its time nothing can be
//! sent. So each block leaves flushed, decodable, before the next one is asked for. Only what lies in memory or in a
//! file goes through without.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use onion::body::Kind;
use onion::{Body, BodyError};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};

use super::encoder::{Encoder, Refused, Then};

/// A body in its content coding.
pub(super) struct Encoded {
    inner: Body,
    /// What is still to come by the application's word (its Content-Length), in bytes.
    left: Option<u64>,
    /// Whether the next block may be long in coming.
    may_pause: bool,
    /// What the encoder has not got yet of the last block.
    rest: Bytes,
    /// What the encoder has got since it last put out everything.
    kept: usize,
    state: State,
}

enum State {
    Reading(Encoder),
    /// A large piece is compressed elsewhere, and this comes after it.
    Working(Work, Then),
    Done,
}

type Work = JoinHandle<(Encoder, Result<Vec<u8>, Refused>)>;

/// A block is compressed in pieces of this size, so that the first can leave before the last is done.
const PIECE: usize = 256 * 1024;

/// Whether there are other threads to put work on.
pub(super) fn has_pool() -> bool {
    Handle::try_current().is_ok()
}

impl Encoded {
    /// `inner` as `encoder` has it. It must be `declared` bytes long, if anybody said so.
    pub(super) fn new(inner: Body, encoder: Encoder, declared: Option<u64>) -> Self {
        let may_pause = match inner.kind() {
            Kind::Empty | Kind::Bytes(_) | Kind::File(_) => false,
            // It may have something of Python's inside.
            Kind::Stream(_) => true,
            Kind::Foreign(foreign) => foreign.may_pause(),
        };
        let state = State::Reading(encoder);
        Encoded { inner, left: declared, may_pause, rest: Bytes::new(), kept: 0, state }
    }

    /// Keeps of `block` what was declared.
    fn take_in(&mut self, mut block: Bytes) {
        if let Some(left) = &mut self.left {
            block.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= block.len() as u64;
        }
        self.rest = block;
    }

    /// Puts `piece` into the encoder: here, or elsewhere if it is much. Gives what came out here.
    fn put_in(&mut self, mut encoder: Encoder, piece: Bytes, then: Then) -> Result<Vec<u8>, BodyError> {
        self.kept += piece.len();
        let is_heavy = self.kept > encoder.heavy;
        if then != Then::GoOn {
            self.kept = 0;
        }
        if is_heavy && has_pool() {
            let work = spawn_blocking(move || {
                let out = encoder.encode(&piece, then);
                (encoder, out)
            });
            self.state = State::Working(work, then);
            return Ok(Vec::new());
        }
        let out = encoder.encode(&piece, then).map_err(failed)?;
        if then != Then::Finish {
            self.state = State::Reading(encoder);
        }
        Ok(out)
    }

    /// One step: what it puts out, `None` at the end. What is empty leads on to the next step, or lets the one who asks
    /// go on (a producer that has nothing to say yet).
    fn step(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Step>, BodyError>> {
        // Whatever goes wrong below, there is no further byte, and no end that looks like one.
        match mem::replace(&mut self.state, State::Done) {
            State::Done => Poll::Ready(Ok(None)),
            State::Working(work, then) => self.wait(work, then, context),
            State::Reading(encoder) if self.rest.is_empty() => self.read(encoder, context),
            State::Reading(encoder) => {
                let piece = self.rest.split_to(self.rest.len().min(PIECE));
                let pauses = self.may_pause && self.rest.is_empty();
                let then = if pauses { Then::Flush } else { Then::GoOn };
                Poll::Ready(self.put_in(encoder, piece, then).map(|out| Some(Step::Out(out))))
            }
        }
    }

    fn wait(
        &mut self,
        mut work: Work,
        then: Then,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Step>, BodyError>> {
        match Pin::new(&mut work).poll(context) {
            Poll::Pending => {
                self.state = State::Working(work, then);
                Poll::Pending
            }
            Poll::Ready(Err(_)) => Poll::Ready(Err(failed(Broken("the work on it was broken off")))),
            Poll::Ready(Ok((encoder, out))) => {
                if then != Then::Finish {
                    self.state = State::Reading(encoder);
                }
                Poll::Ready(out.map(|out| Some(Step::Out(out))).map_err(failed))
            }
        }
    }

    fn read(&mut self, encoder: Encoder, context: &mut Context<'_>) -> Poll<Result<Option<Step>, BodyError>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Pending => {
                self.state = State::Reading(encoder);
                Poll::Pending
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error)),
            Poll::Ready(Some(Ok(frame))) => {
                self.state = State::Reading(encoder);
                let block = frame.into_data().unwrap_or_default();
                if block.is_empty() {
                    return Poll::Ready(Ok(Some(Step::Nothing)));
                }
                self.take_in(block);
                Poll::Ready(Ok(Some(Step::Out(Vec::new()))))
            }
            Poll::Ready(None) if self.left.is_some_and(|left| left > 0) => {
                Poll::Ready(Err(failed(Broken("the application gave less body than its Content-Length"))))
            }
            Poll::Ready(None) => {
                let out = self.put_in(encoder, Bytes::new(), Then::Finish);
                Poll::Ready(out.map(|out| Some(Step::Out(out))))
            }
        }
    }
}

/// What one step gave.
enum Step {
    /// These bytes.
    Out(Vec<u8>),
    /// The producer has nothing to say yet.
    Nothing,
}

impl http_body::Body for Encoded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            return match self.step(context) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(None)) => Poll::Ready(None),
                Poll::Ready(Ok(Some(Step::Out(out)))) if out.is_empty() => continue,
                Poll::Ready(Ok(Some(Step::Out(out)))) => Poll::Ready(Some(Ok(Frame::data(out.into())))),
                Poll::Ready(Ok(Some(Step::Nothing))) => Poll::Ready(Some(Ok(Frame::data(Bytes::new())))),
                Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            };
        }
    }
}

/// Why a body broke off here.
#[derive(Debug)]
struct Broken(&'static str);

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for Broken {}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> BodyError {
    BodyError::Producer(Box::new(error))
}
