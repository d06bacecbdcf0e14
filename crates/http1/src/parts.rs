//! The judgements on parts of a head, for whoever gets those in another form than HTTP/1's bytes (HTTP/2).

use bytes::Bytes;
use http::{HeaderName, Method, Uri};

use crate::rejection::Rejection;
use crate::request_line;
use crate::response::belongs_to_connection;
use crate::target::{self, Form};

/// The URI of a path and query. Rejects a method that is not supported, and a target that is neither a path nor the `*`
/// of `OPTIONS`. The boolean tells whether the URI has the query in another spelling: see
/// [`RequestHead::query_is_encoded`](crate::RequestHead::query_is_encoded).
pub fn uri(method: &Method, path: &Bytes) -> Result<(Uri, bool), Rejection> {
    let (_, judged) = request_line::judge(method.as_str().as_bytes(), path)?;
    match judged.form {
        Form::Origin | Form::Asterisk => Ok((target::uri(path, judged)?, judged.is_beyond_uri)),
        Form::Absolute { .. } => Err(Rejection::bad_request("the path is not a path")),
    }
}

/// Rejects everything but exactly one host with an optional port.
pub fn check_host(host: &[u8]) -> Result<(), Rejection> {
    crate::host::check(host)
}

/// A Content-Length: one decimal number, in the one spelling that every recipient reads alike.
pub fn content_length(value: &[u8]) -> Option<u64> {
    crate::syntax::decimal(value)
}

/// Whether the field belongs to one connection of HTTP/1, and so is not an application's to send.
pub fn is_connection_field(name: &HeaderName) -> bool {
    belongs_to_connection(name)
}
