//! Unnamed temporary files, and how much all of them hold together.
//!
//! ```
//! use std::io::Read;
//! use onion::{Held, TemporaryFile};
//!
//! # fn main() -> std::io::Result<()> {
//! let mut file = TemporaryFile::new(Held::Requests)?;
//! file.write(b"a body")?;
//! assert_eq!(Held::Requests.bytes(), 6);
//! let mut body = String::new();
//! file.rewind()?;
//! file.read_to_string(&mut body)?;
//! drop(file);
//! assert_eq!((body.as_str(), Held::Requests.bytes()), ("a body", 0));
//! # Ok(()) }
//! ```

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Share;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The body of a request.
    Requests,
    /// What is left to be sent of a response.
    Responses,
}

impl Held {
    /// How much of it all files of this process hold.
    pub fn bytes(self) -> u64 {
        self.count().load(Relaxed)
    }

    fn count(self) -> &'static AtomicU64 {
        static REQUESTS: AtomicU64 = AtomicU64::new(0);
        static RESPONSES: AtomicU64 = AtomicU64::new(0);
        match self {
            Held::Requests => &REQUESTS,
            Held::Responses => &RESPONSES,
        }
    }
}

/// A file that is gone when it is dropped.
#[derive(Debug)]
pub struct TemporaryFile {
    file: File,
    length: u64,
    held: Held,
    share: Option<Share>,
}

impl TemporaryFile {
    /// An empty one.
    pub fn new(held: Held) -> io::Result<Self> {
        Ok(TemporaryFile { file: tempfile::tempfile()?, length: 0, held, share: None })
    }

    /// Keeps `share`, which is what it takes, for as long as there is the file.
    pub fn charge(&mut self, share: Share) {
        self.share = Some(share);
    }

    /// Adds a block at its end.
    pub fn write(&mut self, block: &[u8]) -> io::Result<()> {
        self.file.write_all(block)?;
        self.length += block.len() as u64;
        self.held.count().fetch_add(block.len() as u64, Relaxed);
        Ok(())
    }

    /// Goes to its beginning, to be read.
    pub fn rewind(&mut self) -> io::Result<()> {
        self.file.rewind()
    }

    /// Reads a block from somewhere.
    pub fn read_exact_at(&self, block: &mut [u8], from: u64) -> io::Result<()> {
        self.file.read_exact_at(block, from)
    }

    /// How much was written.
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl Read for TemporaryFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        self.held.count().fetch_sub(self.length, Relaxed);
    }
}
