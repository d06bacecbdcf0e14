//! How far a head that is not complete has been looked at, and what can be refused before it is.
//!
//! Every refusal made here depends on the bytes and their places alone, and the first in the stream wins: a head
//! that comes byte by byte is refused for the same reason as one that comes at once, only earlier.

use bytes::{Buf, BytesMut};
use http::StatusCode;

use crate::head::Limits;
use crate::rejection::Rejection;
use crate::request_line;

/// The memory between two looks at a growing buffer, so that no byte is searched twice.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    empty_line_skipped: bool,
    request_line_checked: bool,
    /// Where the next search for a line end begins.
    position: usize,
    line_start: usize,
    fields: usize,
}

impl Scan {
    /// Whether nothing of this head was looked at yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.position == 0 && !self.empty_line_skipped
    }

    /// Looks at what is new in the buffer. `Some`: the head is complete and has this length.
    pub(crate) fn advance(
        &mut self,
        buffer: &mut BytesMut,
        limits: &Limits,
    ) -> Result<Option<usize>, Rejection> {
        if !self.skip_empty_line(buffer)? || !self.find_request_line(buffer, limits)? {
            return Ok(None);
        }
        self.find_end(buffer, limits)
    }

    /// One empty line before the request line is skipped (RFC 9112 section 2.2). False: more bytes are needed.
    fn skip_empty_line(&mut self, buffer: &mut BytesMut) -> Result<bool, Rejection> {
        if self.is_fresh() && buffer.first() == Some(&b'\r') {
            match buffer.get(1) {
                None => return Ok(false),
                Some(b'\n') => buffer.advance(2),
                Some(_) => return Err(BARE_CR),
            }
            self.empty_line_skipped = true;
        }
        Ok(!buffer.is_empty())
    }

    /// Waits for the request line and judges it as soon as it is there.
    fn find_request_line(&mut self, buffer: &[u8], limits: &Limits) -> Result<bool, Rejection> {
        if self.request_line_checked {
            return Ok(true);
        }
        request_line::method_so_far(buffer)?;
        let window = limits.request_line.saturating_add(2);
        let Some(end) = self.find_line_end(buffer, window)? else {
            return if buffer.len() >= window { Err(LINE_TOO_LONG) } else { Ok(false) };
        };
        request_line::check(&buffer[..end - 1])?;
        self.request_line_checked = true;
        Ok(true)
    }

    /// Waits for the empty line that ends the head.
    fn find_end(&mut self, buffer: &[u8], limits: &Limits) -> Result<Option<usize>, Rejection> {
        loop {
            let line_start = self.line_start;
            let Some(end) = self.find_line_end(buffer, limits.head)? else {
                return if buffer.len() >= limits.head { Err(HEAD_TOO_LONG) } else { Ok(None) };
            };
            if end == line_start + 1 {
                return Ok(Some(end + 1));
            }
            self.fields += 1;
            if self.fields > limits.headers {
                return Err(TOO_MANY_FIELDS);
            }
        }
    }

    /// Where the LF of the next line stands, within the first `window` bytes; it must follow a CR.
    fn find_line_end(&mut self, buffer: &[u8], window: usize) -> Result<Option<usize>, Rejection> {
        let seen = &buffer[..window.min(buffer.len())];
        let from = self.position.min(seen.len());
        let Some(end) = memchr::memchr(b'\n', &seen[from..]).map(|found| from + found) else {
            self.position = seen.len();
            return Ok(None);
        };
        self.position = end + 1;
        self.line_start = end + 1;
        match end.checked_sub(1).map(|before| seen[before]) {
            Some(b'\r') => Ok(Some(end)),
            _ => Err(BARE_LF),
        }
    }
}

pub(crate) const BARE_LF: Rejection = Rejection::bad_request("bare LF in the head");
const BARE_CR: Rejection = Rejection::bad_request("bare CR in the head");
const LINE_TOO_LONG: Rejection = Rejection::new(StatusCode::URI_TOO_LONG, "the request line is too long");
const HEAD_TOO_LONG: Rejection = Rejection::fields_too_large("the header fields are too large");
pub(crate) const TOO_MANY_FIELDS: Rejection = Rejection::fields_too_large("too many header fields");
