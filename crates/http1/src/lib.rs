//! HTTP/1 without sockets: request heads and bodies from bytes, response heads and bodies to bytes.
//!
//! ```
//! use bytes::BytesMut;
//! use http1::{BodyDecoder, Decoded, HeadParser, Limits};
//!
//! let mut buffer = BytesMut::from(&b"POST /tea HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\ngreen"[..]);
//! let head = HeadParser::new(Limits::default()).parse(&mut buffer).expect("valid").expect("complete");
//! assert_eq!(head.uri.path(), "/tea");
//!
//! let mut body = BodyDecoder::new(head.framing);
//! assert_eq!(body.decode(&mut buffer), Ok(Decoded::Data("green".into())));
//! assert_eq!(body.decode(&mut buffer), Ok(Decoded::End));
//! ```
//!
//! The promises:
//!
//! - Ambiguous framing is refused, never guessed at: [`Rejection`] carries the answer's status, the connection
//!   is closed after it, and a parser that refused once refuses for ever.
//! - How the bytes were cut into reads changes neither what is understood nor what is refused.
//! - What is buffered is bounded ([`Limits`]); work is linear in the bytes that came.
//! - Nothing goes out that another reader could take for two messages.
//!
//! What it does not do: read, write, wait, or keep the time. See RFC 9112 (HTTP/1.1) and RFC 9110 (semantics).

#![forbid(unsafe_code)]

mod body;
mod chunked;
mod encoder;
mod fields;
mod head;
mod host;
pub mod names;
pub mod parts;
mod rejection;
mod request_line;
mod response;
mod scan;
mod syntax;
mod target;

pub use body::{BodyDecoder, Decoded, Framing};
pub use encoder::{BodyEncoder, Encoded, Underrun};
pub use head::{HeadParser, Limits, MAX_FIELDS, RequestHead};
pub use rejection::Rejection;
pub use response::{CONTINUE, HeadError, ResponseHead, encode_head};
