//! Takes in a whole body before it is used: in memory, then in a temporary file, up to a limit.
//!
//! So a slow client costs a little memory and no Python thread. What all bodies take together is bounded, too
//! ([`BodyBudget`]).

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};

use crate::{Body, BodyBudget, BodyError, Held, Share, TemporaryFile, give_way};

/// How much of a body is kept where.
#[derive(Clone, Copy, Debug)]
pub struct SpoolLimits {
    /// Up to so many bytes are kept in memory; the rest goes to an unnamed temporary file.
    pub memory: u64,
    /// A longer body is refused with [`BodyError::TooLarge`], in bytes.
    pub total: u64,
}

/// A body that has arrived.
#[derive(Debug)]
pub enum Spooled {
    /// In memory.
    Memory(Bytes),
    /// In an unnamed temporary file, which is at its beginning.
    File(TemporaryFile),
}

/// After so many bytes at a stretch others get their turn.
const TURN: usize = 1 << 20;

/// Takes in `body`, as long as there is room for it in `budget`.
pub async fn spool(mut body: Body, limits: SpoolLimits, budget: &BodyBudget) -> Result<Spooled, BodyError> {
    if body.length().is_some_and(|length| length > limits.total) {
        return Err(BodyError::TooLarge(limits.total));
    }
    if let Some(bytes) = body.take_bytes() {
        return Ok(Spooled::Memory(bytes));
    }
    let mut share = budget.begin();
    let mut memory = BytesMut::new();
    let mut file: Option<TemporaryFile> = None;
    let mut total = 0;
    let mut since_turn = 0;
    while let Some(block) = next_block(&mut body, &share).await {
        let block = block?;
        let length = block.len() as u64;
        total += length;
        since_turn += block.len();
        if since_turn > TURN {
            since_turn = 0;
            give_way().await;
        }
        if total > limits.total {
            return Err(BodyError::TooLarge(limits.total));
        }
        if let Some(file) = &mut file {
            share.take_file(length)?;
            file.write(&block).map_err(BodyError::Storage)?;
        } else if total > limits.memory || !share.take_memory(length) {
            share.take_file(total)?;
            let mut started = TemporaryFile::new(Held::Requests).map_err(BodyError::Storage)?;
            started.write(&memory).map_err(BodyError::Storage)?;
            started.write(&block).map_err(BodyError::Storage)?;
            memory = BytesMut::new();
            file = Some(started);
        } else {
            memory.extend_from_slice(&block);
        }
    }
    let share = share.arrived()?;
    match file {
        None => Ok(Spooled::Memory(Bytes::from_owner(Shared { memory, _share: share }))),
        Some(mut file) => {
            file.rewind().map_err(BodyError::Storage)?;
            file.charge(share);
            Ok(Spooled::File(file))
        }
    }
}

/// The next block, unless the body is given up before it has come.
async fn next_block(body: &mut Body, share: &Share) -> Option<Result<Bytes, BodyError>> {
    let mut next = pin!(body.next_block());
    poll_fn(|context| match next.as_mut().poll(context) {
        Poll::Ready(block) => Poll::Ready(block),
        Poll::Pending => share.poll_given_up(context).map(|()| Some(Err(BodyError::Crowded))),
    })
    .await
}

/// A body in memory, with its share of what all bodies may take.
struct Shared {
    memory: BytesMut,
    _share: Share,
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.memory
    }
}
