//! A TLS session between the two halves of a connection: what each takes and gives is plain, what the socket sees is not.
//!
//! Writing works as on a socket: a write takes what there is room for, and `WouldBlock` says that it took nothing. What
//! was taken may still wait, encrypted, for the socket: whoever has written everything flushes, and only then is done.

use std::io::{self, IoSlice, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use rustls::{InvalidMessage, ServerConfig, ServerConnection};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

/// The state of one session, shared by the halves of its connection.
#[derive(Debug)]
pub(crate) struct Session {
    state: Mutex<ServerConnection>,
}

/// So much is encrypted before the socket has to take it, in bytes.
const MOST_WAITING: usize = 64 * 1024;

/// The socket as rustls wants it.
struct Wire<'a>(&'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, block: &[u8]) -> io::Result<usize> {
        self.0.try_write(block)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Session {
    /// A session that has not begun.
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let mut state = ServerConnection::new(config)?;
        state.set_buffer_limit(Some(MOST_WAITING));
        Ok(Session { state: Mutex::new(state) })
    }

    /// Takes in what has come already.
    pub(crate) fn feed(&self, mut early: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        while !early.is_empty() {
            state.read_tls(&mut early)?;
            // What is wrong with it is said when the handshake goes on.
            if state.process_new_packets().is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Looks at what was settled.
    pub(crate) fn look<T>(&self, at: impl FnOnce(&ServerConnection) -> T) -> T {
        at(&self.state())
    }

    /// Ready when the client and the server have agreed, and the server's part of that has left.
    pub(crate) fn poll_handshake(
        &self,
        socket: &TcpStream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state();
        loop {
            while state.wants_write() {
                match state.write_tls(&mut Wire(socket)) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(socket.poll_write_ready(context))?;
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            if !state.is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            if ready!(poll_receive(&mut state, socket, context))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Takes what the client sent. Its end without a `close_notify` is an error: somebody may have cut it off.
    pub(crate) fn poll_read(
        &self,
        socket: &TcpStream,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = self.state();
        loop {
            match state.reader().read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(poll_receive(&mut state, socket, context))?;
            // An answer to a key update; what does not leave now leaves with the next write.
            let _ = flush(&mut state, socket);
        }
    }

    /// Encrypts what there is room for, and sends what the socket takes.
    pub(crate) fn try_write(&self, socket: &TcpStream, blocks: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state();
        flush(&mut state, socket)?;
        let taken = match blocks {
            [block] => state.writer().write(block)?,
            _ => state.writer().write_vectored(blocks)?,
        };
        match flush(&mut state, socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    /// Sends what was taken and has not left; `WouldBlock` while the socket does not take all of it.
    pub(crate) fn try_flush(&self, socket: &TcpStream) -> io::Result<()> {
        flush(&mut self.state(), socket)
    }

    /// Tells the client that nothing more will come, so that it knows a whole answer from one that was cut off.
    pub(crate) fn say_goodbye(&self, socket: &TcpStream) {
        let mut state = self.state();
        state.send_close_notify();
        // A client that takes nothing any more is not waited for.
        let _ = flush(&mut state, socket);
    }

    fn state(&self) -> MutexGuard<'_, ServerConnection> {
        // A session that was left half changed by a panic fails at its next record.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes records off the socket. 0 at its end.
fn poll_receive(
    state: &mut ServerConnection,
    socket: &TcpStream,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let received = loop {
        ready!(socket.poll_read_ready(context))?;
        match state.read_tls(&mut Wire(socket)) {
            Ok(received) => break received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    };
    if let Err(error) = state.process_new_packets() {
        // Who could be told is told as far as the socket takes it: a client of HTTP in its terms, another by the alert.
        let _ = if state.is_handshaking() && matches!(error, NO_TLS) {
            socket.try_write(ANSWER_TO_HTTP).map(drop)
        } else {
            flush(state, socket)
        };
        return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
    }
    Poll::Ready(Ok(received))
}

/// What is wrong with a first record that begins with a letter.
const NO_TLS: rustls::Error = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);

const ANSWER_TO_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 51\r\nConnection: close\r\n\r\nHTTPS is spoken at this port: write https:// here.\n";

fn flush(state: &mut ServerConnection, socket: &TcpStream) -> io::Result<()> {
    while state.wants_write() {
        if state.write_tls(&mut Wire(socket))? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}
