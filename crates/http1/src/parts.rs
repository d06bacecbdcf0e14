//! The judgements on parts of a head, for whoever gets those in another form than HTTP/1's bytes (HTTP/2).

use http::{HeaderName, Method};

use crate::rejection::Rejection;
use crate::request_line;
use crate::response::belongs_to_connection;
use crate::target::Form;

/// Refuses a method that is not spoken here, and a target that is neither a path nor the `*` of `OPTIONS`.
pub fn check_request(method: &Method, path: &[u8]) -> Result<(), Rejection> {
    match request_line::judge(method.as_str().as_bytes(), path)? {
        (_, Form::Origin | Form::Asterisk) => Ok(()),
        (_, Form::Absolute { .. }) => Err(Rejection::bad_request("the path is not a path")),
    }
}

/// Refuses what is not exactly one host with an optional port.
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
