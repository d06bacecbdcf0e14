//! A request body on its way in: read from the connection when somebody asks for it, never before.

use std::future::Future;
use std::io::IoSlice;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use std::{cell::RefCell, io};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use http1::{BodyDecoder, Decoded};
use onion::BodyError;
use tokio::io::AsyncReadExt;

use crate::config::DRAIN;
use crate::deadline::Deadline;
use crate::pace::{Pace, Taking, note_slow_body};
use crate::seeing::Meter;
use crate::stream::{ReadHalf, WriteHalf};

/// The reading side of a connection: lent to the request's body while that arrives.
#[derive(Debug)]
pub(crate) struct Reader {
    half: ReadHalf,
    pub(crate) buffer: BytesMut,
    pub(crate) deadline: Deadline,
}

impl Reader {
    pub(crate) fn new(half: ReadHalf, deadline: Deadline) -> Self {
        Reader { half, buffer: BytesMut::new(), deadline }
    }

    /// Reads what there is into the buffer; 0 at the end of the stream. An idle connection keeps no buffer.
    pub(crate) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.is_empty() && self.buffer.capacity() < READ_LEAST {
            self.buffer = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        }
        if self.buffer.capacity() - self.buffer.len() < READ_LEAST {
            self.buffer.reserve(READ_BLOCK);
        }
        let filled = pin!(self.half.read_buf(&mut self.buffer)).poll(context);
        if filled.is_pending() && self.buffer.is_empty() {
            let unused = mem::take(&mut self.buffer);
            SPARE.with_borrow_mut(|spare| {
                if spare.len() < SPARE_MOST {
                    spare.push(unused);
                }
            });
        }
        filled
    }
}

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

const SPARE_MOST: usize = 32;
const READ_LEAST: usize = 1024;
const READ_BLOCK: usize = 16 * 1024;

/// What a connection and the body that is arriving on it share.
#[derive(Debug)]
pub(crate) struct Exchange {
    // Some until it is dropped.
    writer: Option<WriteHalf>,
    /// Where somebody looks on.
    meter: Option<Arc<Meter>>,
    /// How the client takes its responses.
    pub(crate) taking: Taking,
    interim: AtomicU8,
    // Boxed: most requests have no body that arrives, and this is in each one's way.
    returned: Mutex<Option<Box<Returned>>>,
}

/// What an [`Incoming`] gives back when it is done with.
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) reader: Reader,
    pub(crate) decoder: BodyDecoder,
    pub(crate) failed: bool,
}

impl Returned {
    /// Whether the rest of the body is not worth reading, or can't be read: the connection ends with the response.
    pub(crate) fn is_lost(&self) -> bool {
        self.failed || self.decoder.remaining().is_some_and(|remaining| remaining > DRAIN as u64)
    }
}

/// No `100 Continue` is called for, or none any more.
const SETTLED: u8 = 0;
/// The client waits for `100 Continue` before it sends the body.
const AWAITED: u8 = 1;

impl Exchange {
    pub(crate) fn new(writer: WriteHalf, meter: Option<Arc<Meter>>) -> Self {
        Exchange {
            writer: Some(writer),
            meter,
            taking: Taking::default(),
            interim: AtomicU8::new(SETTLED),
            returned: Mutex::new(None),
        }
    }

    /// The writing side.
    pub(crate) fn writer(&self) -> &WriteHalf {
        self.writer.as_ref().expect("the writer is taken on drop only")
    }

    /// What counts the bytes that leave, where somebody looks on.
    pub(crate) fn meter(&self) -> Option<&Arc<Meter>> {
        self.meter.as_ref()
    }

    /// Writes what the socket takes now; `WouldBlock` when that is nothing.
    pub(crate) fn try_write(&self, blocks: &[IoSlice<'_>]) -> io::Result<usize> {
        self.counted(self.writer().try_write(blocks))
    }

    /// Counts what was written.
    pub(crate) fn counted(&self, written: io::Result<usize>) -> io::Result<usize> {
        self.taking.take(*written.as_ref().unwrap_or(&0));
        if let (Some(meter), Ok(written)) = (&self.meter, &written) {
            meter.count(*written);
        }
        written
    }

    /// The client waits for `100 Continue`: it is sent when the body is first read (RFC 9110 section 10.1.1).
    pub(crate) fn await_continue(&self) {
        self.interim.store(AWAITED, Ordering::Release);
    }

    /// The final response begins: from now on no interim response may be sent. Tells whether one was still awaited,
    /// in which case nobody knows whether the client will send the body.
    pub(crate) fn settle(&self) -> bool {
        self.interim.load(Ordering::Acquire) != SETTLED
            && self.interim.swap(SETTLED, Ordering::AcqRel) == AWAITED
    }

    /// The reading side, if the body is done with it.
    pub(crate) fn take_back(&self) -> Option<Box<Returned>> {
        self.returned.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The reading side, if the body was read to its end.
    pub(crate) fn take_back_whole(&self) -> Option<Reader> {
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = returned.take_if(|returned| !returned.failed && returned.decoder.is_complete())?;
        Some(whole.reader)
    }

    fn send_continue(&self) -> io::Result<()> {
        if !self.settle() {
            return Ok(());
        }
        // The socket's buffer is empty at this point of an exchange: if 25 bytes don't fit, the client is gone.
        let sent = self.try_write(&[IoSlice::new(http1::CONTINUE)])?;
        if sent == http1::CONTINUE.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.end();
        }
    }
}

/// The body of a request that had not arrived as a whole with its head.
#[derive(Debug)]
pub(crate) struct Incoming {
    exchange: Arc<Exchange>,
    // Some until it is given back.
    reader: Option<Reader>,
    decoder: BodyDecoder,
    received: u64,
    limit: u64,
    pace: Pace,
    waiting: bool,
    failed: bool,
}

impl Incoming {
    pub(crate) fn new(
        exchange: Arc<Exchange>,
        reader: Reader,
        decoder: BodyDecoder,
        limit: u64,
        pace: Pace,
    ) -> Self {
        Incoming {
            exchange,
            reader: Some(reader),
            decoder,
            received: 0,
            limit,
            pace,
            waiting: false,
            failed: false,
        }
    }

    fn poll_block(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
        let reader = self.reader.as_mut().expect("the reader is given back on drop only");
        loop {
            match self.decoder.decode(&mut reader.buffer) {
                Err(rejection) => return Poll::Ready(Err(BodyError::Malformed(rejection.reason))),
                Ok(Decoded::End) => return Poll::Ready(Ok(None)),
                Ok(Decoded::NeedMore) => {}
                Ok(Decoded::Data(block)) => {
                    let block = gathered(&mut self.decoder, &mut reader.buffer, block);
                    self.received += block.len() as u64;
                    if let Some(meter) = &self.exchange.meter {
                        meter.receive(block.len());
                    }
                    if self.received > self.limit {
                        return Poll::Ready(Err(BodyError::TooLarge(self.limit)));
                    }
                    return Poll::Ready(Ok(Some(block)));
                }
            }
            if self.exchange.send_continue().is_err() {
                return Poll::Ready(Err(BodyError::Disconnected));
            }
            if !self.waiting {
                reader.deadline.set(self.pace.begin(self.received, Instant::now));
                self.waiting = true;
            }
            match reader.poll_fill(context) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(BodyError::Disconnected)),
                Poll::Ready(Ok(_)) => {
                    self.waiting = false;
                    self.pace.end(Instant::now);
                }
                Poll::Pending => {
                    ready!(reader.deadline.poll(context));
                    note_slow_body();
                    return Poll::Ready(Err(BodyError::TimedOut));
                }
            }
        }
    }
}

/// `first`, with what has come behind it if it is small: a client that sends many small chunks makes one block of them
/// each time it is read, rather than work for each. Whatever else there is, such as an error, comes again.
fn gathered(decoder: &mut BodyDecoder, buffer: &mut BytesMut, first: Bytes) -> Bytes {
    if first.len() >= SMALL || buffer.is_empty() {
        return first;
    }
    let mut gathered = BytesMut::from(first);
    while gathered.len() < READ_BLOCK
        && let Ok(Decoded::Data(block)) = decoder.decode(buffer)
    {
        gathered.extend_from_slice(&block);
    }
    gathered.freeze()
}

/// A block of fewer bytes costs more to pass on than to copy.
const SMALL: usize = 1024;

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let block = ready!(self.poll_block(context));
        self.failed |= block.is_err();
        if let (Err(BodyError::Disconnected), Some(meter)) = (&block, &self.exchange.meter) {
            meter.disconnect();
        }
        Poll::Ready(block.transpose().map(|block| block.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.remaining().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let reader = self.reader.take().expect("the reader is given back here only");
        let decoder = mem::replace(&mut self.decoder, BodyDecoder::new(http1::Framing::None));
        let returned = Box::new(Returned { reader, decoder, failed: self.failed });
        *self.exchange.returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(returned);
    }
}
