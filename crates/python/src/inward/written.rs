//! What an application has written with `write()` and can't go out yet: in memory, then in a temporary file.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use onion::{Body, BodyError, Held, TemporaryFile};

/// Written data, in its order: what the file has, then what memory has.
#[derive(Debug, Default)]
pub(crate) struct Written {
    file: Option<TemporaryFile>,
    /// The part of the file that is not taken yet.
    from: u64,
    to: u64,
    memory: BytesMut,
}

/// So much is kept in memory, in bytes.
const MEMORY: usize = 1 << 20;

/// So much of the file is taken at a time, in bytes.
const BLOCK: u64 = 64 * 1024;

impl Written {
    /// Adds a block.
    pub(crate) fn push(&mut self, block: &[u8]) -> io::Result<()> {
        self.memory.extend_from_slice(block);
        if self.memory.len() > MEMORY {
            let file = match &mut self.file {
                Some(file) => file,
                None => self.file.insert(TemporaryFile::new(Held::Responses)?),
            };
            file.write(&self.memory)?;
            self.to += self.memory.len() as u64;
            self.memory.clear();
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length() == 0
    }

    /// All of it, if it is in memory.
    pub(crate) fn in_memory(&mut self) -> Option<BytesMut> {
        self.file.is_none().then(|| mem::take(&mut self.memory))
    }

    /// Takes the next block.
    pub(crate) fn next_block(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(file) = self.file.as_ref().filter(|_| self.from < self.to) {
            let mut block = vec![0; usize::try_from((self.to - self.from).min(BLOCK)).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut block, self.from)?;
            self.from += block.len() as u64;
            return Ok(Some(block.into()));
        }
        let rest = mem::take(&mut self.memory).freeze();
        Ok((!rest.is_empty()).then_some(rest))
    }

    /// As a body of its own.
    pub(crate) fn into_body(mut self) -> Body {
        match self.in_memory() {
            Some(bytes) => bytes.freeze().into(),
            None => Body::stream(self),
        }
    }

    fn length(&self) -> u64 {
        self.to - self.from + self.memory.len() as u64
    }
}

impl http_body::Body for Written {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(
            self.next_block().map_err(BodyError::Storage).transpose().map(|block| block.map(Frame::data)),
        )
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_memory_comes_from_the_file_in_its_order() {
        let mut written = Written::default();
        let blocks: Vec<Vec<u8>> = (0..40).map(|number| vec![number; 100_000]).collect();
        for block in &blocks[..30] {
            written.push(block).expect("there is room");
        }
        assert!(written.in_memory().is_none());
        let mut taken = written.next_block().expect("it can be read").expect("there is some").to_vec();
        for block in &blocks[30..] {
            written.push(block).expect("there is room");
        }
        while let Some(block) = written.next_block().expect("it can be read") {
            taken.extend_from_slice(&block);
        }
        assert!(taken == blocks.concat());
        assert!(written.is_empty());
    }

    #[test]
    fn a_little_is_in_memory() {
        let mut written = Written::default();
        written.push(b"one").expect("no file is needed");
        written.push(b"two").expect("no file is needed");
        assert_eq!(written.in_memory().as_deref(), Some(&b"onetwo"[..]));
    }
}
