//! A connection as hyper reads and writes it. A client that takes nothing for too long is given up.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Buf;
use hyper::rt::{Read, ReadBufCursor, Write};

use super::fragments::Fragments;
use super::intake::{Intake, Refusals};
use crate::deadline::Deadline;
use crate::incoming::{Exchange, Reader};
use crate::pace::{Patience, note_slow_response};

/// Both halves of a connection.
#[derive(Clone)]
pub(super) struct Wire {
    shared: Arc<Shared>,
}

struct Shared {
    reader: Mutex<Reader>,
    exchange: Arc<Exchange>,
    /// How slowly the client may take what is sent, and until when it may take nothing.
    patience: Patience,
    stalled: Mutex<Option<Deadline>>,
    received: AtomicU64,
    sent: AtomicU64,
    /// Whether all that was to be sent has gone.
    is_clear: AtomicBool,
    fragments: Mutex<Fragments>,
    /// How many frames that ask for nothing are read, and whether there were more.
    idle_frames_most: u32,
    is_overdone: AtomicBool,
    /// Of a client that needs one; known when its first bytes have come.
    intake: OnceLock<Option<Mutex<Intake>>>,
}

impl Wire {
    pub(super) fn new(
        reader: Reader,
        exchange: Arc<Exchange>,
        patience: Patience,
        idle_frames_most: u32,
    ) -> Self {
        let shared = Shared {
            reader: Mutex::new(reader),
            exchange,
            patience,
            stalled: Mutex::new(None),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            is_clear: AtomicBool::new(false),
            fragments: Mutex::new(Fragments::new()),
            idle_frames_most,
            is_overdone: AtomicBool::new(false),
            intake: OnceLock::new(),
        };
        Wire { shared: Arc::new(shared) }
    }

    /// How many bytes have come.
    pub(super) fn received(&self) -> u64 {
        self.shared.received.load(Relaxed)
    }

    /// How many bytes have gone.
    pub(super) fn sent(&self) -> u64 {
        self.shared.sent.load(Relaxed)
    }

    /// Whether the client has sent so many frames that ask for nothing that no more is read.
    pub(super) fn is_overdone(&self) -> bool {
        self.shared.is_overdone.load(Relaxed)
    }

    /// Takes no further streams, if the client needs that when the connection is left; whether it does.
    pub(super) fn refuse(&self) -> bool {
        self.intake().map(|mut intake| intake.close()).is_some()
    }

    /// What became of further streams since.
    pub(super) fn refusals(&self) -> Refusals {
        self.intake().map_or_else(Refusals::default, |intake| intake.refusals())
    }

    /// Sends a PING, if nothing else is on its way.
    pub(super) fn ping(&self) -> bool {
        self.say(&PING)
    }

    /// Says that no further streams were taken (GOAWAY, RFC 9113 section 6.8), past hyper, who says it in three frames, to a
    /// client that needs that. Tells whether it could be said: nothing else may be on its way.
    pub(super) fn part(&self) -> bool {
        let Some(last) = self.intake().map(|intake| intake.refusals().last) else { return false };
        let mut frame = GOAWAY;
        frame[9..13].copy_from_slice(&last.to_be_bytes());
        self.say(&frame)
    }

    fn say(&self, frame: &[u8; 17]) -> bool {
        let writer = self.shared.exchange.writer();
        self.shared.is_clear.load(Relaxed)
            && writer.try_write(&[IoSlice::new(frame)]).is_ok_and(|sent| sent == frame.len())
            && writer.try_flush().is_ok()
    }

    /// Reads what nobody wants.
    pub(super) fn poll_discard(&self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut reader = lock(&self.shared.reader);
        reader.buffer.clear();
        reader.poll_fill(context)
    }

    fn intake(&self) -> Option<MutexGuard<'_, Intake>> {
        self.shared.intake.get()?.as_ref().map(lock)
    }

    fn poll_send(
        &self,
        context: &mut Context<'_>,
        send: impl Fn(&Exchange) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let shared = &self.shared;
        loop {
            match send(&shared.exchange) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let writable = shared.exchange.writer().poll_writable(context)?;
                    if writable.is_pending() {
                        let mut stalled = lock(&shared.stalled);
                        let wait = || Deadline::new(shared.exchange.taking.wait(shared.patience));
                        let deadline = stalled.get_or_insert_with(wait);
                        ready!(deadline.poll(context));
                        note_slow_response();
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => {
                    if lock(&shared.stalled).take().is_some() {
                        shared.exchange.taking.go_on();
                    }
                    shared.exchange.taking.take(*outcome.as_ref().unwrap_or(&0));
                    shared.sent.fetch_add(*outcome.as_ref().unwrap_or(&0) as u64, Relaxed);
                    return Poll::Ready(outcome);
                }
            }
        }
    }
}

/// The head of the frame, and eight bytes.
const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The head of the frame, the last stream, and `NO_ERROR`.
const GOAWAY: [u8; 17] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

impl Read for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut reader = lock(&self.shared.reader);
        let mut fragments = lock(&self.shared.fragments);
        let room = buffer.remaining();
        loop {
            let cleared = fragments.clear(&mut reader.buffer);
            if fragments.idle_frames() > self.shared.idle_frames_most {
                // Whoever polls the connection looks for that next.
                self.shared.is_overdone.store(true, Relaxed);
                return Poll::Pending;
            }
            match self.shared.intake.get() {
                Some(Some(intake)) => {
                    let is_held_back = cleared < reader.buffer.len();
                    let held_back = is_held_back.then(|| reader.buffer.split_off(cleared));
                    lock(intake).take(&mut reader.buffer, &mut buffer);
                    fragments.read(cleared - reader.buffer.len());
                    if let Some(held_back) = held_back {
                        reader.buffer.unsplit(held_back);
                    }
                }
                Some(None) => {
                    let count = cleared.min(room);
                    buffer.put_slice(&reader.buffer[..count]);
                    reader.buffer.advance(count);
                    fragments.read(count);
                }
                None => {
                    if let Poll::Ready(intake) = Intake::for_client(&reader.buffer) {
                        self.shared.intake.get_or_init(|| intake.map(Mutex::new));
                        continue;
                    }
                }
            }
            let count = room - buffer.remaining();
            self.shared.received.fetch_add(count as u64, Relaxed);
            // Too little may have come to know what it is, or nothing that is wanted.
            if count > 0 || ready!(reader.poll_fill(context))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, block: &[u8]) -> Poll<io::Result<usize>> {
        self.shared.is_clear.store(false, Relaxed);
        self.poll_send(context, |exchange| exchange.writer().try_write(&[IoSlice::new(block)]))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        blocks: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.is_clear.store(false, Relaxed);
        self.poll_send(context, |exchange| exchange.writer().try_write(blocks))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context, |exchange| exchange.writer().try_flush().map(|()| 0)))?;
        // All was taken: what comes next has its own time.
        self.shared.exchange.taking.begin();
        self.shared.is_clear.store(true, Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        self.shared.exchange.writer().shutdown();
        Poll::Ready(Ok(()))
    }
}

/// Nothing that runs under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
