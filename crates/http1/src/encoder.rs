//! How a response body is framed on the wire.

use std::fmt;

/// How a response body is framed, and how much of it is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEncoder {
    /// No body may follow: HEAD, 1xx, 204, 205, 304. What the application gives is dropped.
    Empty,
    /// As many bytes as Content-Length said are still to come.
    Length(u64),
    /// In chunks (RFC 9112 section 7.1).
    Chunked,
    /// Until the connection is closed, for HTTP/1.0.
    UntilClose,
}

/// One block on the wire: prefix, block, suffix, to be written in this order.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'a> {
    prefix: Prefix,
    /// The application's own bytes, cut at the declared length.
    pub block: &'a [u8],
    /// What follows the block.
    pub suffix: &'static [u8],
    /// The application gave more than it declared: the excess was dropped, and is worth a line in the log.
    pub overrun: bool,
}

/// Fewer bytes came than were declared: the connection must be closed, and not look like a complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Underrun {
    /// How many bytes are missing.
    pub missing: u64,
}

impl BodyEncoder {
    /// Frames one block. An empty one is nothing on the wire: in chunks it would be the end.
    pub fn encode<'a>(&mut self, block: &'a [u8]) -> Encoded<'a> {
        match self {
            Self::Empty => Encoded::plain(&[], false),
            Self::UntilClose => Encoded::plain(block, false),
            Self::Chunked if block.is_empty() => Encoded::plain(block, false),
            Self::Chunked => {
                Encoded { prefix: Prefix::size_line(block.len()), block, suffix: b"\r\n", overrun: false }
            }
            Self::Length(remaining) => {
                let fits = usize::try_from(*remaining).map_or(block.len(), |fits| fits.min(block.len()));
                *remaining -= fits as u64;
                Encoded::plain(&block[..fits], fits < block.len())
            }
        }
    }

    /// Ends the body: the bytes to send last. To break off instead, after an error of the application, do not
    /// call this but close the connection: the answer must not look complete.
    pub fn finish(&mut self) -> Result<&'static [u8], Underrun> {
        match self {
            Self::Empty | Self::UntilClose | Self::Length(0) => Ok(b""),
            Self::Chunked => Ok(b"0\r\n\r\n"),
            Self::Length(missing) => Err(Underrun { missing: *missing }),
        }
    }
}

impl<'a> Encoded<'a> {
    fn plain(block: &'a [u8], overrun: bool) -> Self {
        Self { prefix: Prefix::EMPTY, block, suffix: b"", overrun }
    }

    /// What precedes the block: the line with its size, or nothing.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix.bytes[usize::from(self.prefix.start)..]
    }

    /// How many bytes it is on the wire.
    pub fn wire_length(&self) -> usize {
        self.prefix().len() + self.block.len() + self.suffix.len()
    }
}

/// The size line of a chunk, written from the back: at most 16 digits and CRLF.
#[derive(Clone, Copy, Debug)]
struct Prefix {
    bytes: [u8; 18],
    start: u8,
}

impl Prefix {
    const EMPTY: Self = Self { bytes: [0; 18], start: 18 };

    fn size_line(mut size: usize) -> Self {
        let mut prefix = Self { bytes: *b"0000000000000000\r\n", start: 16 };
        while size > 0 {
            prefix.start -= 1;
            prefix.bytes[usize::from(prefix.start)] = b"0123456789abcdef"[size & 0xf];
            size >>= 4;
        }
        prefix
    }
}

impl fmt::Display for Underrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body ended {} bytes before its Content-Length", self.missing)
    }
}

impl std::error::Error for Underrun {}
