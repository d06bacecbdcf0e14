//! A connection that a handler has taken over: raw bytes, until it is done or the server stops.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use onion::Upgrade;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep, sleep_until};

use crate::incoming::{Exchange, Reader};
use crate::stop::StopHandle;

/// Has `upgrade` work with the raw connection. When the server stops, it ends as soon as nothing has come or gone for a
/// moment, and after `longest` at the latest.
pub(crate) async fn run(
    upgrade: &Upgrade,
    reader: Reader,
    exchange: Arc<Exchange>,
    stop: &StopHandle,
    longest: Duration,
) {
    let moved = Arc::new(AtomicU64::new(0));
    let raw = Raw { reader, exchange, moved: Arc::clone(&moved) };
    let Some(working) = upgrade.begin(Box::new(raw)) else { return };
    let stopping = async {
        stop.begun().await;
        let due = Instant::now() + longest;
        let mut before = moved.load(Relaxed);
        while Instant::now() < due {
            tokio::select! {
                () = sleep(QUIET) => {}
                () = sleep_until(due) => return,
            }
            let now = moved.load(Relaxed);
            if now == before {
                return;
            }
            before = now;
        }
    };
    let (mut working, mut stopping) = (pin!(working), pin!(stopping));
    poll_fn(|context| match working.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => stopping.as_mut().poll(context),
    })
    .await;
}

/// A tunnel that was silent for so long may be ended.
const QUIET: Duration = Duration::from_secs(1);

/// Both halves of a connection.
struct Raw {
    reader: Reader,
    exchange: Arc<Exchange>,
    /// How many bytes have come and gone.
    moved: Arc<AtomicU64>,
}

impl AsyncRead for Raw {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reader.buffer.is_empty() && ready!(self.reader.poll_fill(context))? == 0 {
            return Poll::Ready(Ok(()));
        }
        let count = self.reader.buffer.len().min(buffer.remaining());
        buffer.put_slice(&self.reader.buffer[..count]);
        self.reader.buffer.advance(count);
        self.moved.fetch_add(count as u64, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Raw {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, block: &[u8]) -> Poll<io::Result<usize>> {
        let writer = self.exchange.writer();
        loop {
            match self.exchange.try_write(&[IoSlice::new(block)]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(writer.poll_writable(context))?;
                }
                written => {
                    self.moved.fetch_add(*written.as_ref().unwrap_or(&0) as u64, Relaxed);
                    return Poll::Ready(written);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let writer = self.exchange.writer();
        loop {
            match writer.try_flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(writer.poll_writable(context))?;
                }
                flushed => return Poll::Ready(flushed),
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        self.exchange.writer().shutdown();
        Poll::Ready(Ok(()))
    }
}
