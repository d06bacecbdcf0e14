//! A connection to a target, whatever kind it is, that counts what goes over it.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// A connection to a target.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) socket: Socket,
    pub(crate) meter: Arc<Meter>,
}

/// The kinds of connections.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What has gone over a connection, and what may.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    read: AtomicU64,
    written: AtomicU64,
    /// How much more may be read until the head of the response is there.
    allowance: AtomicU64,
    /// The next read looks at the socket itself, whatever the runtime knows of it.
    probing: AtomicBool,
}

impl Meter {
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Relaxed)
    }

    pub(crate) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// From now on, `most` bytes may be read.
    pub(crate) fn allow(&self, most: u64) {
        self.allowance.store(most, Relaxed);
    }

    /// See [`probing`](Self::probing).
    pub(crate) fn probe(&self) {
        self.probing.store(true, Relaxed);
    }

    fn count_read(&self, count: usize) -> io::Result<()> {
        let count = count as u64;
        self.read.fetch_add(count, Relaxed);
        let allowance = self.allowance.load(Relaxed);
        match allowance.checked_sub(count) {
            Some(left) => self.allowance.store(left, Relaxed),
            None => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "too much before a response head"));
            }
        }
        Ok(())
    }

    fn count_written(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = written {
            self.written.fetch_add(count as u64, Relaxed);
        }
        written
    }
}

impl Socket {
    /// Whether the connection's other end has closed it, as far as the kernel knows. Unasked bytes count as an end,
    /// except under TLS, which has messages of its own.
    fn has_ended(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let (peeked, tls) = match self {
            Socket::Tcp(stream) => (SockRef::from(stream).peek(&mut byte), false),
            Socket::Unix(stream) => (SockRef::from(stream).peek(&mut byte), false),
            Socket::Tls(stream) => (SockRef::from(stream.get_ref().0).peek(&mut byte), true),
        };
        match peeked {
            Ok(0) => true,
            Ok(_) => !tls,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.meter.probing.swap(false, Relaxed) && self.socket.has_ended() {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Socket::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            Socket::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if let Poll::Ready(Ok(())) = polled {
            self.meter.count_read(buffer.filled().len() - before)?;
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        block: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(context, block),
            Socket::Unix(stream) => Pin::new(stream).poll_write(context, block),
            Socket::Tls(stream) => Pin::new(stream).poll_write(context, block),
        };
        self.meter.count_written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        blocks: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, blocks),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(context, blocks),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(context, blocks),
        };
        self.meter.count_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(context),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
