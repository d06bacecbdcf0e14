//! Takes connections off the listeners and gives each a task.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Poll;

use onion::{Peer, give_way};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinHandle;

use crate::admission::Place;
use crate::connection::Connection;
use crate::listen::{Listener, ListenerSocket};
use crate::prelude::{Prelude, Stream, end};
use crate::shared::Shared;
use crate::stay::Stay;
use crate::stop::Part;
use crate::stream::{split_tcp, split_unix};
use crate::tls::Tls;

/// After so many connections at a stretch others get their turn.
const TURN: u32 = 64;

pub(crate) async fn accept_all(listener: Accepting, shared: Arc<Shared>) {
    let mut accepted_at_a_stretch = 0_u32;
    loop {
        if shared.heartbeat.is_held() {
            tokio::select! {
                () = shared.heartbeat.until_held(false) => {}
                () = shared.stop.begun() => return,
            }
        }
        let admitted = async {
            shared.admission.room(&shared.stop, &listener.queue).await;
            poll_fn(|context| listener.poll_accept(context)).await
        };
        let accepted = tokio::select! {
            accepted = admitted => accepted,
            () = shared.heartbeat.until_held(true) => continue,
            () = shared.stop.begun() => return,
        };
        match accepted {
            Ok(accepted) => {
                // One too many of its client's address is closed.
                if let Ok(place) = shared.admission.enter(accepted.client(&shared)) {
                    drop(accepted.begin(&shared, place));
                    shared.admission.balance(&shared.stop);
                }
                accepted_at_a_stretch += 1;
                if accepted_at_a_stretch.is_multiple_of(TURN) {
                    give_way().await;
                }
            }
            // The client gave up while it was in the queue.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => shared.admission.exhausted(&shared.stop, &error).await,
        }
    }
}

/// A listener that the runtime watches.
pub(crate) struct Accepting {
    socket: AcceptingSocket,
    /// The same socket, to see whether somebody waits on it.
    queue: OwnedFd,
    /// What connections begin with, where TLS is spoken.
    tls: Option<Arc<Tls>>,
}

enum AcceptingSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection that was accepted.
pub(crate) struct Accepted {
    stream: Stream,
    peer: Peer,
    local: Peer,
    tls: Option<Arc<Tls>>,
}

impl Accepting {
    pub(crate) fn new(listener: &Listener, tls: Option<Arc<Tls>>) -> io::Result<Self> {
        let (socket, queue) = match &listener.socket {
            ListenerSocket::Tcp(socket) => (
                AcceptingSocket::Tcp(TcpListener::from_std(socket.try_clone()?)?),
                socket.try_clone()?.into(),
            ),
            ListenerSocket::Unix(socket) => (
                AcceptingSocket::Unix(UnixListener::from_std(socket.try_clone()?)?),
                socket.try_clone()?.into(),
            ),
        };
        Ok(Accepting { socket, queue, tls })
    }

    pub(crate) fn poll_accept(&self, context: &mut std::task::Context<'_>) -> Poll<io::Result<Accepted>> {
        let tls = || self.tls.clone();
        match &self.socket {
            AcceptingSocket::Tcp(listener) => listener.poll_accept(context).map_ok(|(stream, peer)| {
                let local = stream.local_addr().map(end).unwrap_or_default();
                Accepted { stream: Stream::Tcp(stream), peer: end(peer), local, tls: tls() }
            }),
            AcceptingSocket::Unix(listener) => listener.poll_accept(context).map_ok(|(stream, _)| Accepted {
                stream: Stream::Unix(stream),
                peer: Peer::default(),
                local: Peer::default(),
                tls: tls(),
            }),
        }
    }
}

impl Accepted {
    /// The client's address, if it is known before anything is read: a balancer's connection is its client's.
    fn client(&self, shared: &Shared) -> Option<IpAddr> {
        self.peer.address.filter(|_| shared.config.proxy_protocol_from.is_empty())
    }

    /// Gives the connection a task.
    pub(crate) fn begin(self, shared: &Arc<Shared>, place: Option<Place>) -> JoinHandle<()> {
        let facts = onion::Connection {
            peer: self.peer,
            local: self.local,
            can_upgrade: !shared.once,
            shared: shared.given.clone(),
            ..onion::Connection::default()
        };
        let shared = Arc::clone(shared);
        let seat = shared.admission.seat();
        seat.limit(place);
        let entered = shared.stop.enter(Part::Connection(Arc::clone(&seat)));
        let halves = match (self.stream, &self.tls) {
            (stream, tls) if tls.is_some() || !shared.config.proxy_protocol_from.is_empty() => {
                let prelude = Prelude { shared, seat, facts, stream, tls: self.tls };
                return tokio::spawn(Stay::new(entered, prelude.run()));
            }
            (Stream::Tcp(stream), _) => split_tcp(stream),
            (Stream::Unix(stream), _) => split_unix(stream),
        };
        tokio::spawn(Stay::new(entered, Connection::new(shared, seat, facts, halves).serve()))
    }
}
