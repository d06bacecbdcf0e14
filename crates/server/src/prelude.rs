//! What comes before HTTP on a connection: a balancer's word about its client, and the TLS handshake. Both have their time,
//! counted from when the connection was accepted, and hold up nobody else.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, BytesMut};
use onion::{Peer, Scheme, Trouble};
use rustls::HandshakeKind;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};

use crate::admission::Seat;
use crate::connection::Connection;
use crate::metrics::Incident;
use crate::proxy_protocol::{Header, Parsed, parse};
use crate::shared::Shared;
use crate::stream::{split_tcp, split_tls, split_unix};
use crate::tls::{H2, Session, Tls, secured};

/// A connection on which HTTP has not begun.
pub(crate) struct Prelude {
    pub(crate) shared: Arc<Shared>,
    pub(crate) seat: Arc<Seat>,
    pub(crate) facts: onion::Connection,
    pub(crate) stream: Stream,
    /// What it goes on with, where TLS is spoken.
    pub(crate) tls: Option<Arc<Tls>>,
}

/// An accepted socket.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Whoever reaches the port can cause it, as often as he likes: the log is not his to fill.
static NOT_INTRODUCED: Trouble = Trouble::new();

impl Prelude {
    /// Serves the connection, if its client gets as far as HTTP.
    pub(crate) async fn run(mut self) {
        let accepted = Instant::now();
        let mut early = BytesMut::new();
        if !self.shared.config.proxy_protocol_from.is_empty() {
            let due = accepted + self.shared.config.header_timeout.0;
            // One that says nothing in its time has nobody to be told.
            let seat = Arc::clone(&self.seat);
            let introduced = unless_over(&seat, timeout_at(due, self.introduce(&mut early))).await;
            let Some(introduced) = introduced else { return };
            if !matches!(introduced, Ok(Ok(()))) {
                self.shared.incidents.count(Incident::NotIntroduced);
            }
            let Ok(introduced) = introduced else { return };
            if let Err(Refused(why)) = introduced {
                let peer = self.facts.peer.address;
                return NOT_INTRODUCED.report(|| {
                    let peer = peer.map_or("a Unix socket".to_owned(), |peer| peer.to_string());
                    format!("a connection from {peer} is closed: {why}")
                });
            }
            let Ok(place) = self.shared.admission.enter(self.facts.peer.address) else { return };
            self.seat.limit(place);
        }
        match (self.stream, self.tls) {
            (Stream::Tcp(stream), Some(tls)) => {
                let due = accepted + self.shared.config.tls_handshake_timeout.0;
                let Ok(handshake) = self.seat.begin_handshake() else { return };
                // Small writes leave at once. Fails only for a connection that is gone, as the handshake will find.
                let _ = stream.set_nodelay(true);
                // A scanner's garbage or a client that is gone: nobody is there to be told.
                let agreed = unless_over(&self.seat, timeout_at(due, agree(&stream, &tls, early))).await;
                let Some(agreed) = agreed else { return };
                drop(handshake);
                let agreed = agreed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                self.shared.incidents.count(of_handshake(&agreed));
                let Ok(session) = agreed else { return };
                secure(self.shared, self.seat, self.facts, stream, session, &tls).await;
            }
            (Stream::Tcp(stream), None) => {
                Connection::new(self.shared, self.seat, self.facts, split_tcp(stream))
                    .after(early)
                    .serve()
                    .await;
            }
            (Stream::Unix(stream), _) => {
                Connection::new(self.shared, self.seat, self.facts, split_unix(stream))
                    .after(early)
                    .serve()
                    .await;
            }
        }
    }

    /// Takes the word of a balancer that is believed; what came behind it is left in `early`.
    async fn introduce(&mut self, early: &mut BytesMut) -> Result<(), Refused> {
        let trusted = &self.shared.config.proxy_protocol_from;
        // Whom a Unix socket lets in is said by its file.
        if self.facts.peer.address.is_some_and(|peer| !trusted.iter().any(|range| range.contains(peer))) {
            return Err(Refused("the PROXY protocol is not taken from it; see proxy_protocol_from"));
        }
        let header = match &mut self.stream {
            Stream::Tcp(stream) => header(stream, early).await?,
            Stream::Unix(stream) => header(stream, early).await?,
        };
        early.advance(header.length);
        if let Some((client, reached)) = header.ends {
            self.facts.peer = end(client);
            self.facts.local = end(reached);
        }
        Ok(())
    }
}

/// Why a connection is closed before HTTP.
struct Refused(&'static str);

async fn header(stream: &mut (impl AsyncRead + Unpin), early: &mut BytesMut) -> Result<Header, Refused> {
    loop {
        match parse(early) {
            Parsed::Header(header) => return Ok(header),
            Parsed::Broken(why) => return Err(Refused(why)),
            Parsed::Partial => {}
        }
        match stream.read_buf(early).await {
            Ok(1..) => {}
            _ if early.is_empty() => return Err(Refused("it ended before it had said anything")),
            _ => return Err(Refused("it ended in its PROXY header")),
        }
    }
}

/// The handshake, whose first bytes may have come already.
async fn agree(stream: &TcpStream, tls: &Tls, early: BytesMut) -> io::Result<Session> {
    let session = Session::new(tls.config()).map_err(io::Error::other)?;
    session.feed(&early)?;
    poll_fn(|context| session.poll_handshake(stream, context)).await?;
    session.look(|state| tls.recheck(state)).map_err(io::Error::other)?;
    Ok(session)
}

/// What a handshake that has ended counts as.
fn of_handshake(agreed: &io::Result<Session>) -> Incident {
    let resumed = Some(HandshakeKind::Resumed);
    match agreed.as_ref().map_err(io::Error::kind) {
        Ok(session) if session.look(|state| state.handshake_kind()) == resumed => Incident::HandshakeResumed,
        Ok(_) => Incident::HandshakeDone,
        Err(io::ErrorKind::TimedOut) => Incident::HandshakeLate,
        Err(io::ErrorKind::InvalidData) => Incident::HandshakeRefused,
        Err(_) => Incident::HandshakeLeft,
    }
}

/// Waits for `work`, unless the place is needed before: who is told to leave is woken for it.
async fn unless_over<F: Future>(seat: &Seat, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if seat.is_over() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Serves a connection on which both sides have agreed on TLS.
async fn secure(
    shared: Arc<Shared>,
    seat: Arc<Seat>,
    mut facts: onion::Connection,
    stream: TcpStream,
    session: Session,
    tls: &Tls,
) {
    facts.scheme = Scheme::Https;
    facts.secured = Some(Box::new(session.look(|state| secured(state, tls.asks_clients()))));
    let is_http2 = session.look(|state| state.alpn_protocol() == Some(H2));
    let connection = Connection::new(shared, seat, facts, split_tls(stream, session));
    if is_http2 { connection.serve_http2().await } else { connection.serve().await }
}

/// One end of a connection; an IPv4 address that IPv6 maps is the IPv4 address.
pub(crate) fn end(address: SocketAddr) -> Peer {
    Peer { address: Some(address.ip().to_canonical()), port: Some(address.port()) }
}
