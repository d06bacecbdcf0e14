//! What comes before HTTP on a connection: the TLS handshake. It has its time, counted from when the connection was
//! accepted, and holds up nobody else.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use onion::Scheme;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::connection::{Connection, Shared};
use crate::stream::split_tls;
use crate::tls::{H2, Session, Tls, secured};

/// A connection on which HTTP has not begun.
pub(crate) struct Prelude {
    pub(crate) shared: Arc<Shared>,
    pub(crate) facts: onion::Connection,
    pub(crate) stream: TcpStream,
    pub(crate) tls: Arc<Tls>,
}

impl Prelude {
    /// Serves the connection, if its client gets as far as HTTP.
    pub(crate) async fn run(self) {
        let Prelude { shared, mut facts, stream, tls } = self;
        // Small writes leave at once. Fails only for a connection that is gone, as the handshake will find.
        let _ = stream.set_nodelay(true);
        let patience = shared.config.tls_handshake_timeout.0;
        // A scanner's garbage or a client that is gone: nobody is there to be told.
        let Ok(Ok(session)) = timeout(patience, agree(&stream, &tls)).await else { return };
        facts.scheme = Scheme::Https;
        facts.secured = Some(Box::new(session.look(|state| secured(state, tls.asks_clients()))));
        let is_http2 = session.look(|state| state.alpn_protocol() == Some(H2));
        let connection = Connection::new(shared, facts, split_tls(stream, session));
        if is_http2 { connection.serve_http2().await } else { connection.serve().await }
    }
}

async fn agree(stream: &TcpStream, tls: &Tls) -> io::Result<Session> {
    let session = Session::new(tls.current()).map_err(io::Error::other)?;
    poll_fn(|context| session.poll_handshake(stream, context)).await?;
    Ok(session)
}
