//! Looks on: what becomes of each request, for the access log, the metrics and the traces.
//!
//! A server that nobody watches has no [`Seeing`], and its requests no [`Entry`]: it reads no clock and counts nothing.
//! Where there is one, every request has an entry from the end of its head to its last byte. An entry that is dropped
//! is told of, whatever became of its request: so none is forgotten.

mod access_log;
mod error_log;
mod escape;
mod format;
mod meter;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use onion::Notes;

use crate::metrics::Metrics;
use crate::tracing::{Span, Tracer};

pub use access_log::AccessLog;
pub(crate) use access_log::joined;
pub(crate) use error_log::change_error_log;
pub use error_log::{check_logs, error_log};
pub use format::LineFormat;
pub(crate) use meter::Meter;

/// Who looks on.
#[derive(Debug)]
pub(crate) struct Seeing {
    pub(crate) access_log: Option<Arc<AccessLog>>,
    pub(crate) metrics: Option<Arc<Metrics>>,
    pub(crate) tracer: Option<Arc<Tracer>>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With its last byte.
    Whole,
    /// The client went away.
    ClientGone,
    /// The client took nothing for too long.
    WriteTimeout,
    /// What the response was to consist of broke off.
    Failed,
    /// The application took too long.
    RequestTimeout,
    /// It was cut off when the server stopped.
    Stopped,
}

impl End {
    /// The word for it in logs; none for a whole answer.
    pub(crate) fn cause(self) -> Option<&'static str> {
        match self {
            End::Whole => None,
            End::ClientGone => Some("client gone"),
            End::WriteTimeout => Some("write timeout"),
            End::Failed => Some("failed"),
            End::RequestTimeout => Some("request timeout"),
            End::Stopped => Some("stopped"),
        }
    }
}

/// One request, as it is seen from outside.
#[derive(Debug)]
pub(crate) struct Entry {
    seeing: Arc<Seeing>,
    pub(crate) facts: Arc<onion::Connection>,
    pub(crate) notes: Arc<Notes>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) began: Instant,
    pub(crate) time: SystemTime,
    /// None for what was refused before it was understood.
    pub(crate) line: Option<Line>,
    /// The beginning of what was not understood.
    pub(crate) refused: Vec<u8>,
    /// Of the fields that the log shows, in its order.
    pub(crate) request_fields: Vec<Option<HeaderValue>>,
    pub(crate) response_fields: Vec<Option<HeaderValue>>,
    pub(crate) end: End,
    /// Of what was understood.
    span: Option<Span>,
}

/// A request line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) method: Method,
    pub(crate) target: Bytes,
    pub(crate) version: Version,
}

impl Seeing {
    /// The entry of a request whose head has come. Where requests are traced, its headers tell so from here on.
    pub(crate) fn enter(
        self: &Arc<Self>,
        facts: &Arc<onion::Connection>,
        meter: &Arc<Meter>,
        notes: &Arc<Notes>,
        line: Line,
        headers: &mut HeaderMap,
    ) -> Box<Entry> {
        let mut entry = self.enter_refused(facts, meter, &[]);
        entry.notes = Arc::clone(notes);
        entry.line = Some(line);
        if let Some(log) = &self.access_log {
            entry.request_fields = log.request_fields(headers);
        }
        entry.span = self.tracer.as_ref().map(|tracer| tracer.begin(headers, notes));
        entry
    }

    /// The entry of what could not be understood as a request: `bytes` is what there is of it.
    pub(crate) fn enter_refused(
        self: &Arc<Self>,
        facts: &Arc<onion::Connection>,
        meter: &Arc<Meter>,
        bytes: &[u8],
    ) -> Box<Entry> {
        let line_end = bytes.iter().position(|byte| b"\r\n".contains(byte)).unwrap_or(bytes.len());
        let began = Instant::now();
        meter.begin();
        if let Some(metrics) = &self.metrics {
            metrics.begin();
        }
        Box::new(Entry {
            seeing: Arc::clone(self),
            facts: Arc::clone(facts),
            notes: Arc::default(),
            meter: Arc::clone(meter),
            began,
            time: SystemTime::now(),
            line: None,
            refused: bytes[..line_end.min(REFUSED_MOST)].to_vec(),
            request_fields: Vec::new(),
            response_fields: Vec::new(),
            end: End::Stopped,
            span: None,
        })
    }
}

/// So much is shown of what was not understood.
const REFUSED_MOST: usize = 256;

impl Entry {
    /// Takes from the response's head what the log shows of it.
    pub(crate) fn answered(&mut self, headers: &HeaderMap) {
        if let Some(log) = &self.seeing.access_log {
            self.response_fields = log.response_fields(headers);
        }
    }

    /// The host that was asked, where no field tells of it.
    pub(crate) fn set_host(&mut self, authority: &str) {
        if let Some(span) = &mut self.span {
            span.set_host(authority);
        }
        if let Some(log) = &self.seeing.access_log {
            log.set_host(&mut self.request_fields, authority);
        }
    }

    /// The status that the client got. A client that went away before the response, or in the middle of its own upload,
    /// is logged as 499, as in nginx's logs: the status that was made for it then is no fault of the request's or the
    /// application's.
    pub(crate) fn status(&self) -> StatusCode {
        let gone = || StatusCode::from_u16(499).expect("three digits");
        if self.meter.is_disconnected() {
            return gone();
        }
        self.meter.status().unwrap_or_else(|| match self.end {
            End::ClientGone => gone(),
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        })
    }

    /// From the end of the head to the first byte of the answer.
    pub(crate) fn first_byte(&self) -> Option<Duration> {
        self.meter.first().map(|first| first.saturating_duration_since(self.began))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.meter.is_disconnected() && self.end != End::RequestTimeout {
            self.end = End::ClientGone;
        }
        let duration = self.began.elapsed();
        if let Some(metrics) = &self.seeing.metrics {
            metrics.end(self, duration);
        }
        if let Some(log) = &self.seeing.access_log {
            log.write(self, duration);
        }
        if let (Some(tracer), Some(span)) = (&self.seeing.tracer, self.span.take()) {
            tracer.end(self, span, duration);
        }
    }
}
