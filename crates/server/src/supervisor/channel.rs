//! What a supervisor and a worker talk over: a pair of sockets, one message a line.

use std::cell::RefCell;
use std::io;
use std::mem;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::SendFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::message::understood;

/// One end of the pair.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// So much of it has no line's end.
    searched: usize,
    /// What the socket has not taken yet.
    unsent: RefCell<Vec<u8>>,
}

/// The longest line that is read; what is longer is no message.
const LONGEST: usize = 1 << 20;

/// What may wait to be sent. The other side takes messages at once, unless it is stopped.
const UNSENT: usize = 2 * LONGEST;

impl Channel {
    /// Takes one end of a pair, within a runtime.
    pub(crate) fn new(stream: StdUnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Channel {
            stream: UnixStream::from_std(stream)?,
            buffer: Vec::new(),
            searched: 0,
            unsent: RefCell::default(),
        })
    }

    /// The next message; `None` at the end, be it that the other side is gone or that it talks nonsense.
    pub(crate) fn poll_receive<M: DeserializeOwned>(&mut self, context: &mut Context<'_>) -> Poll<Option<M>> {
        self.send_rest(context);
        loop {
            let searched = mem::replace(&mut self.searched, self.buffer.len());
            if let Some(end) = self.buffer[searched..].iter().position(|byte| *byte == b'\n') {
                self.searched = 0;
                let line: Vec<u8> = self.buffer.drain(..=searched + end).collect();
                match understood(&line) {
                    Ok(Some(message)) => return Poll::Ready(Some(message)),
                    Ok(None) => continue,
                    Err(_) => return Poll::Ready(None),
                }
            }
            if self.buffer.len() > LONGEST || ready!(self.stream.poll_read_ready(context)).is_err() {
                return Poll::Ready(None);
            }
            let mut block = [0; 4096];
            match self.stream.try_read(&mut block) {
                Ok(0) => return Poll::Ready(None),
                Ok(read) => self.buffer.extend_from_slice(&block[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Poll::Ready(None),
            }
        }
    }

    /// Sends a message, as a whole or not at all; what the socket does not take at once leaves while messages are waited
    /// for. Tells whether it was taken: the other side is gone, or reads nothing, if not.
    pub(crate) fn send(&self, message: &impl Serialize) -> bool {
        let Ok(mut line) = serde_json::to_vec(message) else { return false };
        line.push(b'\n');
        let mut unsent = self.unsent.borrow_mut();
        if unsent.len() + line.len() > UNSENT {
            return false;
        }
        if unsent.is_empty() {
            // By the system call: the runtime's own does not try before it has once been told that it may.
            match rustix::net::send(&self.stream, &line, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => drop(line.drain(..sent)),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(_) => return false,
            }
        }
        unsent.append(&mut line);
        true
    }

    /// Sends what was left over; has the task of `context` woken when more can be sent.
    fn send_rest(&self, context: &mut Context<'_>) {
        let mut unsent = self.unsent.borrow_mut();
        while !unsent.is_empty() && matches!(self.stream.poll_write_ready(context), Poll::Ready(Ok(()))) {
            match self.stream.try_write(&unsent) {
                Ok(sent) => drop(unsent.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // That the other side is gone is noticed where its messages are waited for.
                Err(_) => unsent.clear(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::super::message::ToWorker;
    use super::*;

    fn pair() -> (Channel, Channel) {
        let (one, other) = StdUnixStream::pair().expect("a pair");
        (Channel::new(one).expect("a channel"), Channel::new(other).expect("a channel"))
    }

    async fn received(channel: &mut Channel) -> Option<ToWorker> {
        poll_fn(|context| channel.poll_receive(context)).await
    }

    #[tokio::test]
    async fn what_is_longer_than_the_socket_holds_arrives_whole_and_in_its_order() {
        let (mut supervisor, mut worker) = pair();
        let text = "x".repeat(LONGEST - 100);
        assert!(supervisor.send(&ToWorker::Metrics { number: 1, text: text.clone() }));
        assert!(supervisor.send(&ToWorker::Leave));
        let reading = tokio::spawn(async move { (received(&mut worker).await, received(&mut worker).await) });
        // The rest leaves while it waits for messages.
        assert_eq!(received(&mut supervisor).await, None);
        let (first, second) = reading.await.expect("no panic");
        assert!(matches!(first, Some(ToWorker::Metrics { number: 1, text: came }) if came == text));
        assert_eq!(second, Some(ToWorker::Leave));
    }

    #[tokio::test]
    async fn who_reads_nothing_costs_no_more_than_a_bound_and_gets_whole_messages() {
        let (mut supervisor, mut worker) = pair();
        let text = "x".repeat(LONGEST / 2);
        let taken = (0..100_u64)
            .take_while(|number| supervisor.send(&ToWorker::Metrics { number: *number, text: text.clone() }))
            .count();
        assert!((3..8).contains(&taken), "{taken}");
        let reading = tokio::spawn(async move {
            for expected in 0..taken as u64 {
                let Some(ToWorker::Metrics { number, .. }) = received(&mut worker).await else { return None };
                assert_eq!(number, expected);
            }
            received(&mut worker).await
        });
        let sending = poll_fn(|context| {
            let hung_up = supervisor.poll_receive::<ToWorker>(context);
            if supervisor.unsent.borrow().is_empty() { Poll::Ready(()) } else { hung_up.map(drop) }
        });
        sending.await;
        assert!(supervisor.send(&ToWorker::Drain));
        assert_eq!(reading.await.expect("no panic"), Some(ToWorker::Drain));
    }
}
