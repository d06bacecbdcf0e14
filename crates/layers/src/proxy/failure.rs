//! What can go wrong with a target: what the client is answered, and what the log says.

use std::fmt::{self, Write};
use std::io;
use std::time::Duration;

use http::StatusCode;
use http::request::Parts;
use onion::{BodyError, LogLevel, RequestLabel, Response, Span, plain, unreadable};

/// Why there is no response from a target.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is no connection, so nothing was sent.
    Connect(io::Error),
    /// There was none in time.
    ConnectTimedOut(Duration),
    /// The connection ended before a response began.
    Closed,
    /// No response in time.
    TimedOut(Duration),
    /// The request as a whole took too long.
    TotalTimedOut(Duration),
    /// What came was no HTTP response that could be passed on.
    Malformed(String),
    /// The client's own upload failed.
    Upload(BodyError),
    /// The Connection fields of the request have too many options.
    TooManyOptions,
    /// The path of the target and that of the request are too long together.
    TooLong,
}

impl Failure {
    /// The answer to the client.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Failure::ConnectTimedOut(_) | Failure::TimedOut(_) | Failure::TotalTimedOut(_) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Failure::Upload(error) => error.status(),
            Failure::TooLong => StatusCode::URI_TOO_LONG,
            Failure::TooManyOptions => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether the target is to blame, rather than the client.
    pub(crate) fn is_of_the_target(&self) -> bool {
        !matches!(self, Failure::Upload(_) | Failure::TooLong | Failure::TooManyOptions)
    }

    /// The client's answer, after a line in the log.
    pub(crate) fn answer(&self, of: &Of, target: &str) -> Response {
        let status = self.status();
        if self.is_of_the_target() {
            of.tell(target, self, Some(status));
        }
        if let Failure::Upload(error) = self {
            return unreadable(status, error.reason());
        }
        let text = match status {
            StatusCode::BAD_GATEWAY => "Bad Gateway\n",
            StatusCode::GATEWAY_TIMEOUT => "Gateway Timeout\n",
            StatusCode::BAD_REQUEST => "Bad Request\n",
            _ => "URI Too Long\n",
        };
        plain(status, text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = |time: &Duration| Span(*time);
        match self {
            Failure::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                formatter.write_str("connect: refused")
            }
            Failure::Connect(error) => write!(formatter, "connect: {error}"),
            Failure::ConnectTimedOut(time) => write!(formatter, "connect: nothing within {}", within(time)),
            Failure::Closed => formatter.write_str("the connection ended without a response"),
            Failure::TimedOut(time) => write!(formatter, "no response within {}", within(time)),
            Failure::TotalTimedOut(time) => write!(formatter, "not done within {}", within(time)),
            Failure::Malformed(what) => write!(formatter, "the response is malformed: {what}"),
            Failure::Upload(error) => write!(formatter, "the upload failed: {error}"),
            Failure::TooLong => formatter.write_str("the request target is too long"),
            Failure::TooManyOptions => formatter.write_str("too many connection options"),
        }
    }
}

/// The request that a line in the log is about.
#[derive(Clone, Debug)]
pub(crate) struct Of(RequestLabel);

impl Of {
    pub(crate) fn request(parts: &Parts) -> Self {
        Of(RequestLabel::of_parts(parts))
    }

    /// One line in the log.
    #[track_caller]
    pub(crate) fn tell(&self, target: &str, what: &dyn fmt::Display, status: Option<StatusCode>) {
        let mut line = format!("proxy: {target}: {what} ({})", self.0);
        if let Some(status) = status {
            // Writing to a String does not fail.
            let _ = write!(line, " -> {}", status.as_u16());
        }
        self.0.log(LogLevel::Warning, &line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_connection_is_called_so() {
        let error = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(Failure::Connect(error).to_string(), "connect: refused");
        assert_eq!(Failure::TimedOut(Duration::from_secs(60)).to_string(), "no response within 60s");
    }
}
