//! A connection that has gone over to another protocol: bytes to and fro, until both ends are done or silent.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use onion::{Duplex, Upgrade};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::timeout;

use super::link::Link;
use super::wire::Wire;

/// What the server gets to do with the client's connection after it has sent the head: to connect it with `link`'s.
pub(crate) fn upgrade(link: Box<Link>, patience: Duration) -> Upgrade {
    Upgrade::new(move |client| Box::pin(tunnel(link, client, patience)))
}

async fn tunnel(link: Box<Link>, mut client: Box<dyn Duplex>, patience: Duration) {
    // A target that ends here has ended the tunnel: there is nobody to be told.
    let Ok((wire, begun)) = link.into_raw().await else { return };
    let meter = wire.meter.clone();
    let mut target = Begun { begun, wire };
    let mut copying = pin!(copy_bidirectional_with_sizes(&mut client, &mut target, BUFFER, BUFFER));
    let mut moved = 0;
    while timeout(patience, copying.as_mut()).await.is_err() {
        let now = meter.read() + meter.written();
        if now == moved {
            return;
        }
        moved = now;
    }
}

const BUFFER: usize = 16 * 1024;

/// A connection of which something was read already.
struct Begun {
    begun: Bytes,
    wire: Wire,
}

impl AsyncRead for Begun {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.begun.is_empty() {
            return Pin::new(&mut self.wire).poll_read(context, buffer);
        }
        let count = self.begun.len().min(buffer.remaining());
        buffer.put_slice(&self.begun[..count]);
        self.begun.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        block: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(context, block)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}
