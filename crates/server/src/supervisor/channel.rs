//! What a supervisor and its processes talk over: a pair of sockets, one message a line, and descriptors along with it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem::{self, MaybeUninit};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::task::{Context, Poll, ready};

use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, Shutdown, recvmsg, shutdown,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
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
    /// Descriptors that came along with messages, and were not taken yet.
    received: VecDeque<OwnedFd>,
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
            received: VecDeque::new(),
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
            let received = &mut self.received;
            match self.stream.try_io(Interest::READABLE, || receive(&self.stream, &mut block, received)) {
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

    /// The descriptor that came along with a message; those of several come in their order.
    pub(crate) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.received.pop_front()
    }

    /// Says nothing more, and goes on listening.
    pub(crate) fn fall_silent(&self) {
        // It fails where the other side is gone: that is as good.
        let _ = shutdown(&self.stream, Shutdown::Write);
    }
}

/// Reads what is there, into `block`, and keeps the descriptors that came along.
fn receive(stream: &UnixStream, block: &mut [u8], descriptors: &mut VecDeque<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let read = recvmsg(stream, &mut [IoSliceMut::new(block)], &mut ancillary, KEPT_FROM_CHILDREN)?.bytes;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(read)
}

#[cfg(target_os = "linux")]
const KEPT_FROM_CHILDREN: RecvFlags = RecvFlags::CMSG_CLOEXEC;

/// Descriptors come from fork servers, which are Linux's.
#[cfg(not(target_os = "linux"))]
const KEPT_FROM_CHILDREN: RecvFlags = RecvFlags::empty();

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::IoSlice;
    use std::os::fd::AsFd;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, sendmsg};

    use super::super::message::{FromForkServer, ToWorker};
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

    /// Sends a message with a descriptor along with it, as a fork server does.
    fn send_along(stream: &StdUnixStream, message: &str, descriptor: &StdUnixStream) {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        let descriptors = [descriptor.as_fd()];
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let sent = sendmsg(stream, &[IoSlice::new(message.as_bytes())], &mut ancillary, SendFlags::empty());
        assert_eq!(sent, Ok(message.len()));
    }

    async fn next(channel: &mut Channel) -> Option<FromForkServer> {
        poll_fn(|context| channel.poll_receive(context)).await
    }

    #[tokio::test]
    async fn descriptors_come_with_messages_in_their_order() {
        let (ours, theirs) = StdUnixStream::pair().expect("a pair");
        let mut channel = Channel::new(ours).expect("a channel");
        let pairs = [1, 2].map(|pid| (pid, StdUnixStream::pair().expect("a pair")));
        for (pid, (_, sent)) in &pairs {
            send_along(&theirs, &format!("{{\"kind\":\"forked\",\"pid\":{pid}}}\n"), sent);
        }
        drop(theirs);
        for (pid, (kept, _)) in &pairs {
            assert_eq!(next(&mut channel).await, Some(FromForkServer::Forked { pid: *pid }));
            let received = StdUnixStream::from(channel.take_descriptor().expect("one came along"));
            rustix::io::write(&received, &[7]).expect("it is connected");
            let mut byte = [0];
            assert_eq!((rustix::io::read(kept, &mut byte), byte), (Ok(1), [7]));
        }
        assert_eq!((next(&mut channel).await, channel.take_descriptor().is_none()), (None, true));
    }

    #[tokio::test]
    async fn one_that_has_fallen_silent_is_still_told_things() {
        let (ours, theirs) = StdUnixStream::pair().expect("a pair");
        let mut channel = Channel::new(ours).expect("a channel");
        channel.fall_silent();
        assert_eq!(rustix::io::read(&theirs, &mut [0]), Ok(0));
        let told = b"{\"kind\":\"ended\",\"pid\":3,\"status\":-9}\n";
        assert_eq!(rustix::io::write(&theirs, told), Ok(told.len()));
        assert_eq!(next(&mut channel).await, Some(FromForkServer::Ended { pid: 3, status: -9 }));
    }
}
