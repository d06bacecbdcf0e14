//! A body that is compressed in one go.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use onion::body::Kind;
use onion::{Body, FileRange};
use tokio::task::spawn_blocking;

use super::encoder::{Encoders, Then};
use super::stream::has_pool;
use crate::accept::Coding;

/// A body that is all there, and not so large that it had better go out in pieces.
pub(super) enum Whole {
    Bytes(Bytes),
    File(FileRange),
}

impl Whole {
    /// The body, if it is one.
    pub(super) fn of(body: &Body) -> Option<Self> {
        let whole = match body.kind() {
            Kind::Bytes(bytes) => Whole::Bytes(bytes.clone()),
            Kind::File(range) => Whole::File(range.clone()),
            _ => return None,
        };
        (whole.length() <= MOST_AT_ONCE).then_some(whole)
    }

    /// What it becomes, if that is smaller.
    pub(super) async fn encode(self, encoders: &Arc<Encoders>, coding: Coding) -> Option<Vec<u8>> {
        let is_heavy = self.length() > encoders.levels.heavy(coding) || matches!(self, Whole::File(_));
        let encoders = Arc::clone(encoders);
        let work = move || {
            let bytes = self.read()?;
            let out = encoders.start(coding, Some(bytes.len())).ok()?.encode(&bytes, Then::Finish).ok()?;
            (out.len() < bytes.len()).then_some(out)
        };
        if is_heavy && has_pool() { spawn_blocking(work).await.ok()? } else { work() }
    }

    fn length(&self) -> usize {
        match self {
            Whole::Bytes(bytes) => bytes.len(),
            Whole::File(range) => usize::try_from(range.length).unwrap_or(usize::MAX),
        }
    }

    fn read(self) -> Option<Bytes> {
        match self {
            Whole::Bytes(bytes) => Some(bytes),
            Whole::File(range) => {
                let mut bytes = vec![0; usize::try_from(range.length).ok()?];
                range.file.read_exact_at(&mut bytes, range.offset).ok()?;
                Some(bytes.into())
            }
        }
    }
}

/// In bytes: what is larger leaves as it is compressed.
const MOST_AT_ONCE: usize = 1 << 20;
