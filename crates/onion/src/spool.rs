//! Takes in a whole body before it is used: in memory, then in a temporary file, up to a limit.
//!
//! So a slow client costs a little memory and no Python thread.

use bytes::{Bytes, BytesMut};

use crate::{Body, BodyError, Held, TemporaryFile, give_way};

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

/// Takes in `body`.
pub async fn spool(mut body: Body, limits: SpoolLimits) -> Result<Spooled, BodyError> {
    if body.length().is_some_and(|length| length > limits.total) {
        return Err(BodyError::TooLarge(limits.total));
    }
    if let Some(bytes) = body.take_bytes() {
        return Ok(Spooled::Memory(bytes));
    }
    let mut memory = BytesMut::new();
    let mut file: Option<TemporaryFile> = None;
    let mut total = 0;
    let mut since_turn = 0;
    while let Some(block) = body.next_block().await {
        let block = block?;
        total += block.len() as u64;
        since_turn += block.len();
        if since_turn > TURN {
            since_turn = 0;
            give_way().await;
        }
        if total > limits.total {
            return Err(BodyError::TooLarge(limits.total));
        }
        if let Some(file) = &mut file {
            file.write(&block).map_err(BodyError::Storage)?;
        } else if total > limits.memory {
            let mut started = TemporaryFile::new(Held::Requests).map_err(BodyError::Storage)?;
            started.write(&memory).map_err(BodyError::Storage)?;
            started.write(&block).map_err(BodyError::Storage)?;
            memory = BytesMut::new();
            file = Some(started);
        } else {
            memory.extend_from_slice(&block);
        }
    }
    match file {
        None => Ok(Spooled::Memory(memory.freeze())),
        Some(mut file) => {
            file.rewind().map_err(BodyError::Storage)?;
            Ok(Spooled::File(file))
        }
    }
}
