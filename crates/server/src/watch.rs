//! Looks after the client while its request is answered: one that is gone takes its request along.
//!
//! Nothing is looked at before the answer lets itself be waited for, so an answer that comes at once costs nothing.
//! What a client sends on meanwhile (a further request) is kept, up to a bound.
//!
//! A reset is the end of the client. That it sends nothing more may be the end too, or only half of it: such clients are
//! legal, and wait for their answer (RFC 9112 section 9.6). They get it, however long it takes, unless the handler has
//! said that it rather leaves with the client (`leaves_with_client`); then it has a moment left.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use crate::incoming::{Exchange, Reader};

/// Watches the client of one connection.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    /// None while a request body has it.
    reader: &'a mut Option<Reader>,
    exchange: &'a Exchange,
    facts: &'a onion::Connection,
    /// The client has said that it sends nothing more.
    ended: bool,
    moment: Option<Pin<Box<Sleep>>>,
}

/// The client is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl<'a> Watch<'a> {
    pub(crate) fn new(
        reader: &'a mut Option<Reader>,
        exchange: &'a Exchange,
        facts: &'a onion::Connection,
    ) -> Self {
        Watch { reader, exchange, facts, ended: false, moment: None }
    }

    /// Waits for `work`, unless the client goes away before.
    pub(crate) async fn during<F: Future>(&mut self, work: F) -> Result<F::Output, Gone> {
        let mut work = pin!(work);
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Ok(done)),
            Poll::Pending => self.poll_gone(context).map(Err),
        })
        .await
    }

    /// Ready when the client is gone.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<Gone> {
        if !self.ended {
            if let Err(gone) = ready!(self.poll_ended(context)) {
                return Poll::Ready(gone);
            }
            self.ended = true;
        }
        if !self.facts.leaves_with_client.load(Relaxed) {
            return Poll::Pending;
        }
        let moment = self.moment.get_or_insert_with(|| Box::pin(sleep(MOMENT)));
        moment.as_mut().poll(context).map(|()| Gone)
    }

    /// Ready when the client sends nothing more; an error when it is gone.
    fn poll_ended(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if self.reader.is_none() {
            *self.reader = self.exchange.take_back_whole();
        }
        let Some(reader) = self.reader else { return Poll::Pending };
        while reader.buffer.len() < PIPELINED_MOST {
            match ready!(reader.poll_fill(context)) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => {}
                Err(_) => return Poll::Ready(Err(Gone)),
            }
        }
        Poll::Pending
    }
}

/// How long an answer may still take when the client sends nothing more and nobody but it waits.
const MOMENT: Duration = Duration::from_secs(1);

/// So many bytes of further requests are kept; as long as there are as many, the client is not looked at.
const PIPELINED_MOST: usize = 64 * 1024;
