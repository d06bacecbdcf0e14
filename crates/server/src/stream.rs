//! The two halves of an accepted connection, whatever kind of socket it is.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use onion::FileRange;
use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::tls::Session;

/// What comes from the client.
#[derive(Debug)]
pub(crate) enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
    Tls(tcp::OwnedReadHalf, Arc<Session>),
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
    Tls(tcp::OwnedWriteHalf, Arc<Session>),
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

/// Divides a TCP connection on which both sides have agreed on `session`.
pub(crate) fn split_tls(stream: TcpStream, session: Session) -> (ReadHalf, WriteHalf) {
    let session = Arc::new(session);
    let (reader, writer) = stream.into_split();
    let write = WriteHalf::new(WriteSocket::Tls(writer, Arc::clone(&session)));
    (ReadHalf::Tls(reader, session), write)
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
            ReadHalf::Tls(half, session) => session.poll_read(half.as_ref(), context, buffer),
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
            (WriteSocket::Tls(half, session), _) => session.try_write(half.as_ref(), blocks),
        }
    }

    /// Sends what was taken by a write and has not left; `WouldBlock` while the socket does not take all of it.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        match &self.socket {
            WriteSocket::Tls(half, session) => session.try_flush(half.as_ref()),
            // What such a socket takes is the kernel's to send.
            WriteSocket::Tcp(_) | WriteSocket::Unix(_) => Ok(()),
        }
    }

    /// Whether the kernel can send a file as it stands.
    #[cfg(target_os = "linux")]
    pub(crate) fn sends_files(&self) -> bool {
        !matches!(self.socket, WriteSocket::Tls(..))
    }

    /// Waits until the socket takes more.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        match &self.socket {
            WriteSocket::Tcp(half) | WriteSocket::Tls(half, _) => half.writable().await,
            WriteSocket::Unix(half) => half.writable().await,
        }
    }

    /// Ready when the socket takes more.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.socket {
            WriteSocket::Tcp(half) | WriteSocket::Tls(half, _) => half.as_ref().poll_write_ready(context),
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
            WriteSocket::Tcp(half) | WriteSocket::Tls(half, _) => {
                half.as_ref().try_io(Interest::WRITABLE, || send(half.as_ref().as_fd()))
            }
            WriteSocket::Unix(half) => {
                half.as_ref().try_io(Interest::WRITABLE, || send(half.as_ref().as_fd()))
            }
        }
    }

    /// Tells a client that speaks TLS that what it got is all: without that, it was cut off.
    pub(crate) fn say_goodbye(&self) {
        if let WriteSocket::Tls(half, session) = &self.socket {
            session.say_goodbye(half.as_ref());
        }
    }

    /// Tells the client that nothing more will come.
    pub(crate) fn shutdown(&self) {
        self.say_goodbye();
        // Fails only when the client has gone already.
        let _ = match &self.socket {
            WriteSocket::Tcp(half) | WriteSocket::Tls(half, _) => {
                SockRef::from(half.as_ref()).shutdown(std::net::Shutdown::Write)
            }
            WriteSocket::Unix(half) => SockRef::from(half.as_ref()).shutdown(std::net::Shutdown::Write),
        };
    }

    /// Makes the end of the connection a reset, so that no client takes a broken-off response for a whole one.
    pub(crate) fn abort(&self) {
        if let WriteSocket::Tcp(half) | WriteSocket::Tls(half, _) = &self.socket {
            self.aborted.store(true, Ordering::Release);
            // Fails only when the client has gone already.
            let _ = SockRef::from(half.as_ref()).set_linger(Some(std::time::Duration::ZERO));
        }
    }

    /// The end, by a reset if it was aborted.
    pub(crate) fn end(self) {
        let is_aborted = self.aborted.into_inner();
        match self.socket {
            // Dropped, this half would tell the client of a regular end before the socket is closed.
            WriteSocket::Tcp(half) | WriteSocket::Tls(half, _) if is_aborted => half.forget(),
            _ => {}
        }
    }
}
