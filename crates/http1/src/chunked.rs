//! The chunked transfer coding, decoded strictly (RFC 9112 section 7.1).
//!
//! - A size is 1 to 16 hexadecimal digits, at most 2^63 - 1, and nothing else: no sign or prefix, no space before the
//!   end of the line.
//! - Extensions are `;name`, `;name=token` or `;name="quoted"`, with spaces and tabs around `;` and `=` (RFC 9112
//!   section 7.1.1, RFC 9110 section 5.6.3), at most [`EXTENSION_LIMIT`] bytes a chunk and [`EXTENSIONS_LIMIT`] a body;
//!   they are dropped.
//! - Lines end with CRLF, data is followed by CRLF.
//! - Trailers must be well-formed fields. All of them are dropped, so that one that frames, routes or authenticates
//!   has no effect (RFC 9110 section 6.5.1).

use bytes::{Buf, BytesMut};

use crate::body::{Decoded, take};
use crate::rejection::Rejection;
use crate::syntax::{is_text_byte, is_token_byte};

/// Where the decoder is in the chunks of one body.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    state: State,
    size: u64,
    digits: u8,
    extension: usize,
    extensions: usize,
    trailer_bytes: usize,
    trailer_fields: usize,
    /// How much of the trailer line in the buffer was searched for its end.
    searched: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Extension(Extension),
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// What the extension has got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// Blanks before the first `;`, or after a value.
    BeforeSemicolon,
    NameStart,
    Name,
    AfterName,
    ValueStart,
    Token,
    Quoted,
    Escaped,
    QuoteClosed,
}

impl Chunks {
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Done
    }

    /// Takes what it can off the buffer: all framing up to the next data, or the data.
    pub(crate) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, Rejection> {
        loop {
            match self.state {
                State::Done => return Ok(Decoded::End),
                State::Data => match take(buffer, &mut self.size) {
                    Decoded::End => self.state = State::DataCr,
                    found => return Ok(found),
                },
                State::Trailers => {
                    if !self.take_trailer_line(buffer)? {
                        return Ok(Decoded::NeedMore);
                    }
                }
                _ => {
                    if !self.take_framing(buffer)? {
                        return Ok(Decoded::NeedMore);
                    }
                }
            }
        }
    }

    /// Steps through framing bytes until another kind of state is reached. False: more bytes are needed.
    fn take_framing(&mut self, buffer: &mut BytesMut) -> Result<bool, Rejection> {
        let mut taken = 0;
        for byte in buffer.iter() {
            self.state = self.step(*byte)?;
            taken += 1;
            if matches!(self.state, State::Data | State::Trailers) {
                buffer.advance(taken);
                return Ok(true);
            }
        }
        buffer.clear();
        Ok(false)
    }

    /// The state after one framing byte.
    fn step(&mut self, byte: u8) -> Result<State, Rejection> {
        match (self.state, byte) {
            (State::Size, b'\r') if self.digits > 0 => Ok(State::SizeLf),
            (State::Size, b';') if self.digits > 0 => self.step_extension(Extension::NameStart),
            (State::Size, b' ' | b'\t') if self.digits > 0 => self.step_extension(Extension::BeforeSemicolon),
            (State::Size, _) => self.step_size(byte),
            (State::Extension(extension), _) => match step_extension(extension, byte)? {
                Some(next) => self.step_extension(next),
                None => Ok(State::SizeLf),
            },
            (State::SizeLf, b'\n') => Ok(self.begin_data()),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                (self.digits, self.extension) = (0, 0);
                Ok(State::Size)
            }
            (State::DataCr | State::DataLf, _) => Err(BAD_DATA_END),
            _ => Err(BAD_SIZE_LINE),
        }
    }

    fn step_size(&mut self, byte: u8) -> Result<State, Rejection> {
        let digit = char::from(byte).to_digit(16).ok_or(BAD_SIZE_LINE)?;
        self.digits += 1;
        self.size = self.size << 4 | u64::from(digit);
        // Sixteen digits are 64 bits: none was shifted out before this is looked at.
        if self.digits > 16 || self.size > LARGEST_CHUNK {
            return Err(Rejection::bad_request("the chunk size is too large"));
        }
        Ok(State::Size)
    }

    fn step_extension(&mut self, next: Extension) -> Result<State, Rejection> {
        self.extension += 1;
        self.extensions += 1;
        if self.extension > EXTENSION_LIMIT || self.extensions > EXTENSIONS_LIMIT {
            return Err(Rejection::bad_request("the chunk extensions are too large"));
        }
        Ok(State::Extension(next))
    }

    fn begin_data(&mut self) -> State {
        if self.size == 0 { State::Trailers } else { State::Data }
    }

    /// Takes one trailer line, or the empty line at the end. False: it is not complete.
    fn take_trailer_line(&mut self, buffer: &mut BytesMut) -> Result<bool, Rejection> {
        let window = (TRAILERS_LIMIT - self.trailer_bytes).min(buffer.len());
        let Some(found) = memchr::memchr(b'\n', &buffer[self.searched..window]) else {
            self.searched = window;
            return if self.trailer_bytes + window == TRAILERS_LIMIT {
                Err(TRAILERS_TOO_LARGE)
            } else {
                Ok(false)
            };
        };
        let line = buffer.split_to(self.searched + found + 1);
        self.searched = 0;
        self.trailer_bytes += line.len();
        match line.as_ref() {
            b"\r\n" => self.state = State::Done,
            [field @ .., b'\r', b'\n'] => {
                self.trailer_fields += 1;
                if self.trailer_fields > TRAILER_FIELDS_LIMIT {
                    return Err(TRAILERS_TOO_LARGE);
                }
                check_trailer(field)?;
            }
            _ => return Err(Rejection::bad_request("bare LF in the trailers")),
        }
        Ok(true)
    }
}

/// What the extension is at after `byte`; `None` at the CR that ends the line.
fn step_extension(extension: Extension, byte: u8) -> Result<Option<Extension>, Rejection> {
    use Extension::{
        AfterName, BeforeSemicolon, Escaped, Name, NameStart, QuoteClosed, Quoted, Token, ValueStart,
    };
    let next = match (extension, byte) {
        (Name | Token | QuoteClosed, b'\r') => return Ok(None),
        (BeforeSemicolon | Name | AfterName | Token | QuoteClosed, b';') => NameStart,
        (NameStart | ValueStart | BeforeSemicolon | AfterName, b' ' | b'\t') => extension,
        (Name, b' ' | b'\t') => AfterName,
        (Token | QuoteClosed, b' ' | b'\t') => BeforeSemicolon,
        (NameStart | Name, _) if is_token_byte(byte) => Name,
        (Name | AfterName, b'=') => ValueStart,
        (ValueStart, b'"') => Quoted,
        (ValueStart | Token, _) if is_token_byte(byte) => Token,
        (Quoted, b'"') => QuoteClosed,
        (Quoted, b'\\') => Escaped,
        (Quoted | Escaped, _) if is_text_byte(byte) => Quoted,
        _ => return Err(Rejection::bad_request("malformed chunk extension")),
    };
    Ok(Some(next))
}

/// Rejects what is not a field.
fn check_trailer(field: &[u8]) -> Result<(), Rejection> {
    let colon = memchr::memchr(b':', field).ok_or(BAD_TRAILER)?;
    let (name, value) = (&field[..colon], &field[colon + 1..]);
    let well_formed = !name.is_empty()
        && name.iter().copied().all(is_token_byte)
        && value.iter().copied().all(is_text_byte);
    if well_formed { Ok(()) } else { Err(BAD_TRAILER) }
}

const LARGEST_CHUNK: u64 = i64::MAX as u64;
const EXTENSION_LIMIT: usize = 256;
const EXTENSIONS_LIMIT: usize = 16_384;
const TRAILERS_LIMIT: usize = 8192;
const TRAILER_FIELDS_LIMIT: usize = 32;

const BAD_SIZE_LINE: Rejection = Rejection::bad_request("malformed chunk size");
const BAD_DATA_END: Rejection = Rejection::bad_request("chunk data does not end where its size says");
const BAD_TRAILER: Rejection = Rejection::bad_request("malformed trailer");
const TRAILERS_TOO_LARGE: Rejection = Rejection::fields_too_large("the trailers are too large");
