//! Spans: what OpenTelemetry is told of each request, from the end of its head to its last byte.
//!
//! A request's trace is taken over from who asks, where that is trusted, or begins here. Either way the server's own
//! span stands in `traceparent` (W3C Trace Context) when the application and servers further in see the request. What
//! is recorded is decided by who began the trace, or by chance at the beginning. Spans leave by a thread of their own,
//! as OTLP over HTTP, and no request waits for that.

mod endpoint;
mod export;
mod otlp;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use onion::{Notes, OptionError, Traceparent};

pub use endpoint::Endpoint;
use export::Exporter;

use crate::Config;
use crate::seeing::{Entry, joined};

/// Begins spans, and sends those that have ended.
#[derive(Debug)]
pub struct Tracer {
    trusts: bool,
    /// Of traces that begin here, those are recorded whose last eight bytes, as a number, are below.
    threshold: u64,
    exporter: Exporter,
}

/// The span of one request.
#[derive(Debug)]
pub(crate) struct Span {
    own: Traceparent,
    parent: Option<[u8; 8]>,
    /// Only of those that are recorded.
    state: Option<HeaderValue>,
    host: Option<HeaderValue>,
    agent: Option<HeaderValue>,
}

impl Span {
    /// The host that was asked, where no field tells of it.
    pub(crate) fn set_host(&mut self, authority: &str) {
        if self.own.sampled && self.host.is_none() {
            self.host = HeaderValue::from_str(authority).ok();
        }
    }
}

/// A span that has ended, as it is sent.
#[derive(Debug)]
pub(crate) struct Ended {
    span: Span,
    began: SystemTime,
    duration: Duration,
    first_byte: Option<Duration>,
    queued: Option<Duration>,
    method: Option<http::Method>,
    target: bytes::Bytes,
    version: http::Version,
    scheme: &'static str,
    client: Option<std::net::IpAddr>,
    status: u16,
    sent: u64,
    received: u64,
    cause: Option<&'static str>,
    request_id: Option<String>,
}

impl Tracer {
    /// Begins to send, if `config` asks for it.
    pub fn start(config: &Config) -> Result<Option<Self>, OptionError> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
        let exporter = Exporter::start(endpoint, &config.otlp_service)
            .map_err(|error| OptionError(format!("otlp_endpoint: no thread can be started: {error}")))?;
        Ok(Some(Tracer {
            trusts: config.otlp_trust_inbound,
            threshold: threshold(config.otlp_sample),
            exporter,
        }))
    }

    /// Sends what has ended so far, and ends; what cannot be sent within a few seconds is lost.
    pub fn close(&self) {
        self.exporter.close();
    }

    /// Begins the span of a request with these headers, and has it stand there.
    pub(crate) fn begin(&self, headers: &mut HeaderMap, notes: &Notes) -> Span {
        let inbound = if self.trusts { single(headers).and_then(Traceparent::read) } else { None };
        let random: [u8; 24] = onion::random();
        let (new, id) = random.split_at(16);
        let id = id.try_into().expect("eight are left");
        let own = if let Some(inbound) = inbound {
            Traceparent { span: id, ..inbound }
        } else {
            headers.remove(TRACESTATE);
            let trace: [u8; 16] = new.try_into().expect("it is split there");
            let low = u64::from_be_bytes(trace[8..].try_into().expect("eight bytes"));
            Traceparent { trace, span: id, sampled: low < self.threshold || self.threshold == u64::MAX }
        };
        let text = HeaderValue::from_bytes(&own.text()).expect("it is made of visible ASCII");
        headers.insert(TRACEPARENT, text);
        notes.set_span(own);
        let kept = |name| if own.sampled { joined(headers, &name) } else { None };
        Span {
            own,
            parent: inbound.map(|inbound| inbound.span),
            state: kept(TRACESTATE),
            host: kept(header::HOST),
            agent: kept(header::USER_AGENT),
        }
    }

    /// The request has ended.
    pub(crate) fn end(&self, entry: &Entry, span: Span, duration: Duration) {
        if !span.own.sampled {
            return;
        }
        let line = entry.line.as_ref();
        self.exporter.send(Ended {
            span,
            began: entry.time,
            duration,
            first_byte: entry.first_byte(),
            queued: entry.notes.queued(),
            method: line.map(|line| line.method.clone()),
            target: line.map(|line| line.target.clone()).unwrap_or_default(),
            version: line.map_or(http::Version::HTTP_11, |line| line.version),
            scheme: entry.facts.scheme.as_str(),
            client: entry.facts.peer.address,
            status: entry.status().as_u16(),
            sent: entry.meter.body(),
            received: entry.meter.received(),
            cause: entry.end.cause(),
            request_id: entry.notes.request_id().map(str::to_owned),
        });
    }
}

/// The field, if it came once; several contradict each other.
fn single(headers: &HeaderMap) -> Option<&str> {
    let mut fields = headers.get_all(TRACEPARENT).iter();
    let field = fields.next()?;
    fields.next().is_none().then(|| field.to_str().ok()).flatten()
}

/// What is below it is this share of all numbers.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share is not that exact, and what is too large becomes the largest"
)]
fn threshold(share: f64) -> u64 {
    (share * u64::MAX as f64) as u64
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_and_none_are_all_and_none() {
        assert_eq!((threshold(1.0), threshold(0.0), threshold(0.5)), (u64::MAX, 0, 1 << 63));
    }
}
