//! Why a request is refused, and with which status.

use std::fmt;

use http::StatusCode;

/// Why a request is refused: always answered with `status`, then the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The status of the answer.
    pub status: StatusCode,
    /// What was wrong, for the log and for the body of the answer: a plain phrase, nothing of the request in it.
    pub reason: &'static str,
}

impl Rejection {
    /// A refusal with this status, for this reason.
    pub const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self { status, reason }
    }

    pub(crate) const fn bad_request(reason: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    pub(crate) const fn not_implemented(reason: &'static str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, reason)
    }

    pub(crate) const fn fields_too_large(reason: &'static str) -> Self {
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, reason)
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status.as_u16(), self.reason)
    }
}

impl std::error::Error for Rejection {}
