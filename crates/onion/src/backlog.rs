//! What a producer is ahead of its consumer: kept in memory, then in an unnamed temporary file, up to a bound.
//!
//! So an application need not wait until its client has taken what it made. Blocks come out in their order, small ones of
//! them joined. When the bound is reached, or there is no further place (a full disk, no descriptor, others' backlogs),
//! the producer waits; a single block is always taken when there is nothing else.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let room = onion::Room::new(1024, 1 << 20, 1 << 30);
//! let (mut producer, backlog) = onion::backlog(&room);
//! for block in ["one, ", "two"] {
//!     producer.push(block.into()).await.expect("the backlog is wanted");
//! }
//! producer.end();
//! let body = onion::Body::stream(backlog);
//! assert_eq!(body.into_bytes(1024).await.expect("short enough"), "one, two");
//! # }
//! ```

use std::collections::VecDeque;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};
use http_body::Frame;

use crate::pauses::Pauses;
use crate::{BodyError, Calls, Trouble};

/// How much may be kept where.
#[derive(Clone, Debug)]
pub struct Room {
    memory: u64,
    file: u64,
    shared: Arc<Shared>,
    pauses: Arc<Pauses>,
}

/// What all backlogs of a process share.
#[derive(Debug)]
struct Shared {
    /// What their files may have, and what they may still grow by, in bytes.
    total: u64,
    left: AtomicU64,
}

impl Room {
    /// For one backlog, `memory` bytes and a file of `file` bytes; the files of all may have `total` bytes.
    pub fn new(memory: u64, file: u64, total: u64) -> Self {
        let shared = Arc::new(Shared { total, left: AtomicU64::new(total) });
        Room { memory, file, shared, pauses: Arc::default() }
    }

    /// Has `calls` told when a call waits for its client.
    #[must_use]
    pub fn telling(self, calls: Arc<dyn Calls>) -> Self {
        Room { pauses: Arc::new(Pauses::of(calls)), ..self }
    }

    /// Whether there are files, so that it is worth while to be ahead.
    pub fn has_files(&self) -> bool {
        self.file > 0
    }

    /// How much the files of all backlogs have.
    pub fn in_files(&self) -> u64 {
        self.shared.total.saturating_sub(self.shared.left.load(Relaxed))
    }

    /// Takes up to `wanted` bytes of what all may use.
    fn reserve(&self, wanted: u64) -> u64 {
        let take = |left: u64| Some(left - left.min(wanted));
        self.shared.left.fetch_update(Relaxed, Relaxed, take).map_or(0, |left| left.min(wanted))
    }

    fn give_back(&self, bytes: u64) {
        self.shared.left.fetch_add(bytes, Relaxed);
    }
}

/// Files are not to be had.
static STORAGE: Trouble = Trouble::new();

/// Makes an empty backlog: the end for whoever fills it, and the one for whoever takes.
pub fn backlog(room: &Room) -> (Producer, Backlog) {
    let shared = Arc::new(Mutex::new(State {
        room: room.clone(),
        memory: VecDeque::new(),
        held: 0,
        file: None,
        has_failed: !room.has_files(),
        start: 0,
        length: 0,
        extent: 0,
        ended: None,
        is_unwanted: false,
        is_given_up: false,
        producer: None,
        consumer: None,
    }));
    let pauses = Arc::clone(&room.pauses);
    (Producer { state: Arc::clone(&shared), pauses, pause: None }, Backlog(shared))
}

/// Fills a backlog. Dropped without an end, it has failed.
#[derive(Debug)]
pub struct Producer {
    state: Arc<Mutex<State>>,
    pauses: Arc<Pauses>,
    /// Known by this while it waits.
    pause: Option<u64>,
}

/// Nobody takes what is produced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwanted;

impl Producer {
    /// Adds a block; waits for room if there is none.
    pub async fn push(&mut self, mut block: Bytes) -> Result<(), Unwanted> {
        poll_fn(|context| self.poll_push(context, &mut block)).await
    }

    /// The same for whoever polls: `block` is what there is left of it.
    pub fn poll_push(&mut self, context: &Context<'_>, block: &mut Bytes) -> Poll<Result<(), Unwanted>> {
        let pushed = self.push_now(context, block);
        match (&pushed, self.pause) {
            (Poll::Pending, None) => {
                let state = Arc::downgrade(&self.state);
                let give_up = move || {
                    if let Some(state) = state.upgrade() {
                        lock(&state).give_up();
                    }
                };
                self.pause = self.pauses.begin(Box::new(give_up));
            }
            (Poll::Ready(_), Some(_)) => self.resume(),
            _ => {}
        }
        pushed
    }

    fn push_now(&self, context: &Context<'_>, block: &mut Bytes) -> Poll<Result<(), Unwanted>> {
        let mut state = lock(&self.state);
        while !block.is_empty() {
            if state.is_unwanted {
                return Poll::Ready(Err(Unwanted));
            }
            if !state.take(block) {
                state.producer = Some(context.waker().clone());
                return Poll::Pending;
            }
            if let Some(consumer) = state.consumer.take() {
                consumer.wake();
            }
        }
        Poll::Ready(if state.is_unwanted { Err(Unwanted) } else { Ok(()) })
    }

    fn resume(&mut self) {
        if let Some(pause) = self.pause.take() {
            self.pauses.end(pause);
        }
    }

    /// Whether it was given up while it waited for its consumer, who may still be busy with what it has.
    pub fn is_given_up(&self) -> bool {
        lock(&self.state).is_given_up
    }

    /// All blocks are there.
    pub fn end(self) {
        self.close(Ok(()));
    }

    /// There are no further blocks, though there should be.
    pub fn fail(self, error: BodyError) {
        self.close(Err(error));
    }

    fn close(&self, outcome: Result<(), BodyError>) {
        let mut state = lock(&self.state);
        state.ended.get_or_insert(outcome);
        if let Some(consumer) = state.consumer.take() {
            consumer.wake();
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.resume();
        self.close(Err(BodyError::Producer("it was given up".into())));
    }
}

/// What a producer is ahead, as a body.
#[derive(Debug)]
pub struct Backlog(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    room: Room,
    /// What comes before that which is in the file.
    memory: VecDeque<Bytes>,
    held: u64,
    file: Option<File>,
    /// There is no (further) file to be had.
    has_failed: bool,
    /// The file is a ring: where what it holds begins, how long that is, and how large the file has become.
    start: u64,
    length: u64,
    extent: u64,
    ended: Option<Result<(), BodyError>>,
    is_unwanted: bool,
    is_given_up: bool,
    producer: Option<Waker>,
    consumer: Option<Waker>,
}

/// So much is read from the file at a time, and small blocks are joined up to it.
const BLOCK: u64 = 64 * 1024;

impl State {
    /// Takes `block` or a part of it; false if there is no room.
    fn take(&mut self, block: &mut Bytes) -> bool {
        let is_ahead = self.held > 0 || self.length > 0;
        if self.length == 0 && self.held + block.len() as u64 <= self.room.memory {
            self.remember(mem::take(block));
            return true;
        }
        match self.store(block) {
            0 if is_ahead => false,
            0 => {
                self.remember(mem::take(block));
                true
            }
            stored => {
                block.advance(stored);
                true
            }
        }
    }

    /// Its producer has waited for too long: what there is does not go out any more.
    fn give_up(&mut self) {
        (self.is_unwanted, self.is_given_up) = (true, true);
        self.memory.clear();
        (self.held, self.length) = (0, 0);
        self.shrink();
        self.ended = Some(Err(BodyError::TimedOut));
        for waker in [self.producer.take(), self.consumer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    fn remember(&mut self, block: Bytes) {
        self.held += block.len() as u64;
        self.memory.push_back(block);
    }

    /// Writes what fits to the file. Tells how much that is.
    fn store(&mut self, block: &[u8]) -> usize {
        if self.has_failed {
            return 0;
        }
        let most = self.room.file;
        let place = (self.start + self.length) % most;
        let fits = (most - place).min(most - self.length).min(block.len() as u64);
        let growth = (place + fits).saturating_sub(self.extent);
        let granted = self.room.reserve(growth);
        let fits = fits - (growth - granted);
        let written = match self.write(&block[..usize::try_from(fits).unwrap_or(usize::MAX)], place) {
            Ok(written) => written,
            Err(error) => {
                STORAGE.report(|| {
                    format!("responses to slow clients cannot be put aside, and hold their threads: {error}")
                });
                self.has_failed = true;
                0
            }
        };
        let grown = (place + written as u64).saturating_sub(self.extent);
        self.room.give_back(granted - grown);
        self.extent += grown;
        self.length += written as u64;
        written
    }

    fn write(&mut self, block: &[u8], place: u64) -> io::Result<usize> {
        if block.is_empty() {
            return Ok(0);
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile()?),
        };
        file.write_at(block, place)
    }

    /// The next block.
    fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        if let Some(first) = self.memory.pop_front() {
            self.held -= first.len() as u64;
            return Some(Ok(self.joined(first)));
        }
        if self.length == 0 {
            return None;
        }
        let end = (self.start + self.length).min(self.room.file);
        let mut block = vec![0; usize::try_from((end - self.start).min(BLOCK)).unwrap_or(usize::MAX)];
        let file = self.file.as_ref().expect("what is in the file was written to it");
        if let Err(error) = file.read_exact_at(&mut block, self.start) {
            return Some(Err(BodyError::Storage(error)));
        }
        self.start = (self.start + block.len() as u64) % self.room.file;
        self.length -= block.len() as u64;
        if self.length == 0 {
            self.shrink();
        }
        Some(Ok(block.into()))
    }

    /// `first` and the small blocks that follow it.
    fn joined(&mut self, first: Bytes) -> Bytes {
        let fits = |length: usize, next: Option<&Bytes>| {
            next.is_some_and(|next| (length + next.len()) as u64 <= BLOCK)
        };
        if !fits(first.len(), self.memory.front()) {
            return first;
        }
        let mut joined = BytesMut::from(&first[..]);
        while fits(joined.len(), self.memory.front()) {
            let Some(next) = self.memory.pop_front() else { break };
            self.held -= next.len() as u64;
            joined.extend_from_slice(&next);
        }
        joined.freeze()
    }

    /// Gives back the place of a file that is read to its end.
    fn shrink(&mut self) {
        self.start = 0;
        if self.file.as_ref().is_some_and(|file| file.set_len(0).is_ok()) {
            self.room.give_back(mem::take(&mut self.extent));
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.room.give_back(self.extent);
    }
}

impl http_body::Body for Backlog {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut state = lock(&self.0);
        if let Some(block) = state.next() {
            if let Some(producer) = state.producer.take() {
                producer.wake();
            }
            return Poll::Ready(Some(block.map(Frame::data)));
        }
        match &mut state.ended {
            None => {
                state.consumer = Some(context.waker().clone());
                Poll::Pending
            }
            Some(outcome) => Poll::Ready(mem::replace(outcome, Ok(())).err().map(Err)),
        }
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.is_unwanted = true;
        if let Some(producer) = state.producer.take() {
            producer.wake();
        }
    }
}

/// Nothing that runs under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
