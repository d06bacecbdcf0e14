//! A connection that goes over to another protocol (RFC 9110 section 7.8): whoever answers
//! `101 Switching Protocols` gets it as it is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};

/// A raw connection to the client.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// In the extensions of a `101` response: what is to be done with the connection after the head was sent.
///
/// Only a server whose connections can be taken over looks at it; see [`RequestExt::can_upgrade`]. The connection ends
/// when the work is done; a server that stops ends it before.
///
/// [`RequestExt::can_upgrade`]: crate::RequestExt::can_upgrade
#[derive(Clone)]
pub struct Upgrade(Arc<Mutex<Option<Work>>>);

/// What is done with a connection.
type Work = Box<dyn FnOnce(Box<dyn Duplex>) -> Working + Send>;

/// It being done.
type Working = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Upgrade {
    /// Has `work` done with the connection.
    pub fn new(work: impl FnOnce(Box<dyn Duplex>) -> Working + Send + 'static) -> Self {
        Upgrade(Arc::new(Mutex::new(Some(Box::new(work)))))
    }

    /// Begins the work on `connection`. Once: `None` if it was begun before.
    pub fn begin(&self, connection: Box<dyn Duplex>) -> Option<Working> {
        let work = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(work(connection))
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Upgrade")
    }
}
