//! The two halves of an accepted connection, whatever kind of socket it is.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use onion::FileRange;
use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

/// What comes from the client.
#[derive(Debug)]
pub(crate) enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
}

/// What goes to the client.
#[derive(Debug)]
pub(crate) struct WriteHalf {
    socket: WriteSocket,
    aborted: AtomicBool,
}

#[derive(Debug)]
enum WriteSocket {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
}

/// Divides a TCP connection. Small writes leave at once (no 40 ms wait of Nagle's algorithm for an ACK).
pub(crate) fn split_tcp(stream: TcpStream) -> (ReadHalf, WriteHalf) {
    // Fails only for a connection that is gone already, which the first read tells.
    let _ = stream.set_nodelay(true);
    let (reader, writer) = stream.into_split();
    (ReadHalf::Tcp(reader), WriteHalf::new(WriteSocket::Tcp(writer)))
}

/// Divides a Unix socket's connection.
pub(crate) fn split_unix(stream: UnixStream) -> (ReadHalf, WriteHalf) {
    let (reader, writer) = stream.into_split();
    (ReadHalf::Unix(reader), WriteHalf::new(WriteSocket::Unix(writer)))
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ReadHalf::Tcp(half) => Pin::new(half).poll_read(context, buffer),
            ReadHalf::Unix(half) => Pin::new(half).poll_read(context, buffer),
        }
    }
}

impl WriteHalf {
    fn new(socket: WriteSocket) -> Self {
        WriteHalf { socket, aborted: AtomicBool::new(false) }
    }

    /// Writes what the socket takes now; `WouldBlock` when that is nothing.
    pub(crate) fn try_write(&self, blocks: &[IoSlice<'_>]) -> io::Result<usize> {
        match (&self.socket, blocks) {
            // A plain write costs the kernel less than a vectored one.
            (WriteSocket::Tcp(half), [block]) => half.try_write(block),
            (WriteSocket::Tcp(half), _) => half.try_write_vectored(blocks),
            (WriteSocket::Unix(half), _) => half.try_write_vectored(blocks),
        }
    }

    /// Waits until the socket takes more.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match &self.socket {
            WriteSocket::Tcp(half) => half.writable().await,
            WriteSocket::Unix(half) => half.writable().await,
        }
    }

    /// Ready when the socket takes more.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.socket {
            WriteSocket::Tcp(half) => half.as_ref().poll_write_ready(context),
            WriteSocket::Unix(half) => half.as_ref().poll_write_ready(context),
        }
    }

    /// Writes what the socket takes now of a block that more follows: the kernel keeps back what fills no packet.
    #[cfg(target_os = "linux")]
    pub(crate) fn try_write_more(&self, block: &[u8]) -> io::Result<usize> {
        use rustix::net::{SendFlags, send};

        self.try_send(|socket| Ok(send(socket, block, SendFlags::MORE | SendFlags::NOSIGNAL)?))
    }

    /// Sends a part of a file without taking it into memory: what the socket takes now, and no more than `most` bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn try_send_file(&self, range: &mut FileRange, most: usize) -> io::Result<usize> {
        use rustix::fs::sendfile;

        let count = usize::try_from(range.length).unwrap_or(most).min(most);
        let mut offset = range.offset;
        let sent = self.try_send(|socket| Ok(sendfile(socket, &range.file, Some(&mut offset), count)?))?;
        range.offset += sent as u64;
        range.length -= sent as u64;
        Ok(sent)
    }

    /// Does `send` if the socket takes anything; what it answers is remembered until it does so again.
    #[cfg(target_os = "linux")]
    fn try_send(
        &self,
        send: impl FnOnce(std::os::fd::BorrowedFd<'_>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        use std::os::fd::AsFd;
        use tokio::io::Interest;

        match &self.socket {
            WriteSocket::Tcp(half) => {
                half.as_ref().try_io(Interest::WRITABLE, || send(half.as_ref().as_fd()))
            }
            WriteSocket::Unix(half) => {
                half.as_ref().try_io(Interest::WRITABLE, || send(half.as_ref().as_fd()))
            }
        }
    }

    /// Tells the client that nothing more will come.
    pub(crate) fn shutdown(&self) {
        // Fails only when the client has gone already.
        let _ = match &self.socket {
            WriteSocket::Tcp(half) => SockRef::from(half.as_ref()).shutdown(std::net::Shutdown::Write),
            WriteSocket::Unix(half) => SockRef::from(half.as_ref()).shutdown(std::net::Shutdown::Write),
        };
    }

    /// Makes the end of the connection a reset, so that no client takes a broken-off response for a whole one.
    pub(crate) fn abort(&self) {
        if let WriteSocket::Tcp(half) = &self.socket {
            self.aborted.store(true, Ordering::Release);
            // Fails only when the client has gone already.
            let _ = SockRef::from(half.as_ref()).set_linger(Some(std::time::Duration::ZERO));
        }
    }

    /// The end, by a reset if it was aborted.
    pub(crate) fn end(self) {
        match self.socket {
            // Dropped, this half would tell the client of a regular end before the socket is closed.
            WriteSocket::Tcp(half) if self.aborted.into_inner() => half.forget(),
            _ => {}
        }
    }
}
