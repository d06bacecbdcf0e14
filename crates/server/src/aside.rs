//! A response that is made faster than its client takes it: the application runs on to its end, and another task sends.
//!
//! An application's open iterable holds its thread and its permit ([`stay`](crate::stay)). While the socket takes all, that
//! lasts as long as making the response does. As soon as it does not, what is made goes to a [backlog](onion::backlog),
//! from where it leaves as the client takes it: at once, if the client does. Only when the backlog is full does the
//! application wait.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use onion::{Backlog, Body, Producer, Room, Unwanted, backlog};
use tokio::task::{JoinHandle, unconstrained};
use tokio::time::timeout;

use crate::incoming::Exchange;
use crate::pace::{Patience, note_slow_response};
use crate::respond::Broken;

/// A client that is waited for while it takes nothing, but not for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patient<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) patience: Patience,
}

impl Patient<'_> {
    /// Writes all of `blocks`.
    pub(crate) async fn write(self, mut blocks: &mut [IoSlice<'_>]) -> Result<(), Broken> {
        loop {
            blocks = self.write_now(blocks)?;
            if blocks.is_empty() {
                break;
            }
            self.wait().await?;
        }
        while !self.flush_now()? {
            self.wait().await?;
        }
        Ok(())
    }

    /// Writes what the socket takes now. What is left comes back.
    pub(crate) fn write_now<'b, 's>(
        self,
        mut blocks: &'b mut [IoSlice<'s>],
    ) -> Result<&'b mut [IoSlice<'s>], Broken> {
        while !blocks.is_empty() {
            match self.exchange.try_write(blocks) {
                Ok(0) => return Err(Broken::CLIENT),
                Ok(written) => IoSlice::advance_slices(&mut blocks, written),
                Err(error) if is_full(&error)? => break,
                Err(_) => {}
            }
        }
        Ok(blocks)
    }

    /// Has leave what was written. Tells whether all of it could.
    pub(crate) fn flush_now(self) -> Result<bool, Broken> {
        loop {
            match self.exchange.writer().try_flush() {
                Ok(()) => return Ok(true),
                Err(error) if is_full(&error)? => return Ok(false),
                Err(_) => {}
            }
        }
    }

    /// Waits until the socket takes something.
    pub(crate) async fn wait(self) -> Result<(), Broken> {
        let patience = self.exchange.taking.wait(self.patience);
        let writable = timeout(patience, self.exchange.writer().writable()).await;
        self.exchange.taking.go_on();
        let Ok(writable) = writable else {
            note_slow_response();
            return Err(Broken::TIMED_OUT);
        };
        Ok(writable?)
    }
}

/// Whether the socket takes nothing now; false if it may be tried again at once, an error if it never will.
pub(crate) fn is_full(error: &io::Error) -> Result<bool, Broken> {
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(true),
        io::ErrorKind::Interrupted => Ok(false),
        _ => Err(Broken::CLIENT),
    }
}

/// A response that leaves by a task of its own.
#[derive(Debug)]
pub(crate) struct Aside {
    producer: Producer,
    sending: Sending,
}

/// The task that sends; it ends when nobody waits for it any more.
#[derive(Debug)]
struct Sending(JoinHandle<Result<(), Broken>>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Aside {
    /// From now on what is pushed leaves by another task. To be begun where the runtime's other work has left this
    /// thread: a task that is made on a thread of the runtime would wait behind the call that goes on there.
    pub(crate) fn begin(exchange: &Arc<Exchange>, patience: Patience, room: &Room) -> Self {
        let (producer, backlog) = backlog(room);
        let sending = tokio::spawn(unconstrained(send(Arc::clone(exchange), patience, backlog)));
        Aside { producer, sending: Sending(sending) }
    }

    /// Adds `blocks`; waits if the backlog is full.
    pub(crate) async fn push(&mut self, blocks: &[IoSlice<'_>]) -> Result<(), Broken> {
        let mut joined = BytesMut::with_capacity(blocks.iter().map(|block| block.len()).sum());
        for block in blocks {
            joined.extend_from_slice(block);
        }
        match self.producer.push(joined.freeze()).await {
            Ok(()) => Ok(()),
            // Who sends may still wait for the client.
            Err(Unwanted) if self.producer.is_given_up() => Err(Broken::TIMED_OUT),
            Err(Unwanted) => Err(self.sending.outcome().await.err().unwrap_or(Broken::CLIENT)),
        }
    }

    /// Waits until all has left.
    pub(crate) async fn end(self) -> Result<(), Broken> {
        let Aside { producer, mut sending } = self;
        producer.end();
        sending.outcome().await
    }
}

impl Sending {
    async fn outcome(&mut self) -> Result<(), Broken> {
        // A task that ended by a panic has been reported by the runtime.
        (&mut self.0).await.unwrap_or(Err(Broken::FAILED))
    }
}

async fn send(exchange: Arc<Exchange>, patience: Patience, backlog: Backlog) -> Result<(), Broken> {
    let client = Patient { exchange: &exchange, patience };
    // What was written before may not have left.
    client.write(&mut []).await?;
    let mut body = Body::stream(backlog);
    while let Some(block) = body.next_block().await {
        let block: Bytes = block.map_err(|_| Broken::FAILED)?;
        client.write(&mut [IoSlice::new(&block)]).await?;
    }
    Ok(())
}
