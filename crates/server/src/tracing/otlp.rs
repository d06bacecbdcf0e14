//! Spans as OTLP has them, in JSON (opentelemetry-proto, `ExportTraceServiceRequest`), with the attributes of the
//! semantic conventions for HTTP servers.

use std::time::{Duration, UNIX_EPOCH};

use http::{Method, Version};
use onion::{Host, hexadecimal};
use serde_json::{Value, json};

use super::Ended;

/// What is sent for some spans of `service`.
pub(super) fn message(service: &str, spans: &[Ended]) -> Vec<u8> {
    let resource = [
        text("service.name", service),
        text("telemetry.sdk.name", "onionskin"),
        text("telemetry.sdk.language", "rust"),
        text("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        number("process.pid", u64::from(std::process::id())),
    ];
    let spans: Vec<Value> = spans.iter().map(span).collect();
    let scope = json!({"name": "onionskin", "version": env!("CARGO_PKG_VERSION")});
    let message = json!({
        "resourceSpans": [{
            "resource": {"attributes": resource},
            "scopeSpans": [{"scope": scope, "spans": spans}],
        }],
    });
    message.to_string().into_bytes()
}

fn span(ended: &Ended) -> Value {
    let began = ended.began.duration_since(UNIX_EPOCH).unwrap_or_default();
    let method = ended.method.as_ref().filter(|method| KNOWN.contains(method));
    let is_error = ended.status >= 500 || ended.cause.is_some();
    let mut span = json!({
        "traceId": hexadecimal(&ended.span.own.trace),
        "spanId": hexadecimal(&ended.span.own.span),
        "name": method.map_or("HTTP", Method::as_str),
        "kind": SERVER,
        "startTimeUnixNano": began.as_nanos().to_string(),
        "endTimeUnixNano": (began + ended.duration).as_nanos().to_string(),
        "attributes": attributes(ended, method),
        "status": if is_error { json!({"code": ERROR}) } else { json!({}) },
    });
    if let Some(parent) = &ended.span.parent {
        span["parentSpanId"] = hexadecimal(parent).into();
    }
    if let Some(state) = ended.span.state.as_ref().and_then(|state| state.to_str().ok()) {
        span["traceState"] = state.into();
    }
    span
}

/// Without the query: it may have what nobody else is to know.
fn attributes(ended: &Ended, method: Option<&Method>) -> Vec<Value> {
    let path = ended.target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let mut attributes = vec![
        text("http.request.method", method.map_or("_OTHER", Method::as_str)),
        text("url.scheme", ended.scheme),
        text("url.path", &String::from_utf8_lossy(path)),
        text("network.protocol.name", "http"),
        text("network.protocol.version", version(ended.version)),
        number("http.response.status_code", ended.status.into()),
        number("http.request.body.size", ended.received),
        number("http.response.body.size", ended.sent),
    ];
    let field = |value: &Option<http::HeaderValue>| -> Option<String> {
        value.as_ref().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let host = field(&ended.span.host).and_then(|host| Host::parse(&host));
    let original = ended.method.as_ref().filter(|_| method.is_none()).map(ToString::to_string);
    let error = ended.cause.map(str::to_owned).or((ended.status >= 500).then(|| ended.status.to_string()));
    let known = [
        ("http.request.method_original", original),
        ("server.address", host.as_ref().map(|host| host.name.trim_matches(['[', ']']).to_owned())),
        ("user_agent.original", field(&ended.span.agent)),
        ("client.address", ended.client.map(|client| client.to_string())),
        ("error.type", error),
        ("onionskin.request_id", ended.request_id.clone()),
    ];
    attributes.extend(known.iter().filter_map(|(key, value)| Some(text(key, value.as_deref()?))));
    if let Some(host) = host {
        let own = if ended.scheme == "https" { 443 } else { 80 };
        attributes.push(number("server.port", host.port.unwrap_or(own).into()));
    }
    let times = [("onionskin.time_to_first_byte", ended.first_byte), ("onionskin.queue_time", ended.queued)];
    attributes.extend(times.iter().filter_map(|(key, time)| Some(seconds(key, (*time)?))));
    attributes
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// A 64-bit number is a string in protobuf's JSON.
fn number(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

fn seconds(key: &str, value: Duration) -> Value {
    json!({"key": key, "value": {"doubleValue": value.as_secs_f64()}})
}

const SERVER: u32 = 2;
const ERROR: u32 = 2;

/// Those that the conventions know; any other is a client's own.
const KNOWN: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::CONNECT,
    Method::OPTIONS,
    Method::TRACE,
    Method::PATCH,
];
