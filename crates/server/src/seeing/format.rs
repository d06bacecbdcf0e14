//! How a line of the access log looks: a template of names in braces, or JSON.
//!
//! `{remote} "{request}" {status} {duration}`: what stands around the braces is shown as it is. The names are those of
//! [`NAMES`], and `request_header.NAME` and `response_header.NAME`; any other is refused at start-up.

use std::borrow::Cow;
use std::io::Write;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderName, Version};
use onion::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access_log::Masks;
use super::escape;
use super::{Entry, Line};

/// How a line looks: `combined`, `json`, or a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", inline)]
pub struct LineFormat {
    written: String,
    json: bool,
    pieces: Vec<Piece>,
    pub(super) request_fields: Vec<HeaderName>,
    pub(super) response_fields: Vec<HeaderName>,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The name in a JSON line, and what is shown.
    Value(String, Atom),
}

/// What can be shown of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Atom {
    Time,
    CommonTime,
    Epoch,
    Remote,
    RemotePort,
    User,
    Request,
    Method,
    Target,
    Path,
    Query,
    Protocol,
    Scheme,
    Status,
    Bytes,
    BodyBytes,
    ReceivedBytes,
    Duration,
    FirstByte,
    Queue,
    Abort,
    RequestId,
    TraceId,
    Application,
    Process,
    /// By its place in the entry's fields.
    RequestField(usize),
    ResponseField(usize),
}

/// All names but those of header fields, and what they show.
const NAMES: &[(&str, Atom)] = &[
    ("time", Atom::Time),
    ("time_common", Atom::CommonTime),
    ("time_epoch", Atom::Epoch),
    ("remote", Atom::Remote),
    ("remote_port", Atom::RemotePort),
    ("user", Atom::User),
    ("request", Atom::Request),
    ("method", Atom::Method),
    ("target", Atom::Target),
    ("path", Atom::Path),
    ("query", Atom::Query),
    ("protocol", Atom::Protocol),
    ("scheme", Atom::Scheme),
    ("status", Atom::Status),
    ("bytes", Atom::Bytes),
    ("body_bytes", Atom::BodyBytes),
    ("received_bytes", Atom::ReceivedBytes),
    ("duration", Atom::Duration),
    ("first_byte", Atom::FirstByte),
    ("queue", Atom::Queue),
    ("abort", Atom::Abort),
    ("request_id", Atom::RequestId),
    ("trace_id", Atom::TraceId),
    ("application", Atom::Application),
    ("pid", Atom::Process),
];

const COMBINED: &str = "{remote} - {user} [{time_common}] \"{request}\" {status} {body_bytes} \
    \"{request_header.referer}\" \"{request_header.user-agent}\"";

/// What a JSON line has; what a request has nothing of is left out.
const JSON: &str = "{time} {remote} {user} {method} {target} {protocol} {scheme} {status} {bytes} {body_bytes} \
    {duration} {first_byte} {queue} {abort} {request_id} {trace_id} {application} {pid} {request_header.host} \
    {request_header.referer} {request_header.user-agent}";

impl Default for LineFormat {
    fn default() -> Self {
        "combined".parse().expect("it is one of ours")
    }
}

impl FromStr for LineFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let template = match text {
            "combined" => COMBINED,
            "json" => JSON,
            template if template.contains('{') => template,
            _ => {
                return Err(format!(
                    "{text:?} is no format; give combined, json or a template such as \"{{remote}} {{status}}\""
                ));
            }
        };
        let mut format = LineFormat {
            written: text.to_owned(),
            json: text == "json",
            pieces: Vec::new(),
            request_fields: Vec::new(),
            response_fields: Vec::new(),
        };
        format.read(template)?;
        Ok(format)
    }
}

impl TryFrom<String> for LineFormat {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<LineFormat> for String {
    fn from(format: LineFormat) -> String {
        format.written
    }
}

impl LineFormat {
    fn read(&mut self, mut template: &str) -> Result<(), String> {
        if template.contains(char::is_control) {
            return Err("a template is one line without control characters; leave them out".to_owned());
        }
        while let Some(start) = template.find('{') {
            let (text, rest) = (&template[..start], &template[start + 1..]);
            let end = rest.find('}').ok_or_else(|| format!("{{{rest} has no closing brace; add one"))?;
            if !text.is_empty() {
                self.pieces.push(Piece::Text(text.to_owned()));
            }
            let name = &rest[..end];
            let atom = self.atom(name)?;
            let key = name.rsplit('.').next().unwrap_or(name).replace('-', "_");
            self.pieces.push(Piece::Value(key, atom));
            template = &rest[end + 1..];
        }
        if !template.is_empty() {
            self.pieces.push(Piece::Text(template.to_owned()));
        }
        Ok(())
    }

    fn atom(&mut self, name: &str) -> Result<Atom, String> {
        if let Some((_, atom)) = NAMES.iter().find(|(each, _)| *each == name) {
            return Ok(*atom);
        }
        let field = |fields: &mut Vec<HeaderName>, field: &str| {
            let field = field.parse().map_err(|_| format!("{{{name}}}: {field:?} is no header name"))?;
            fields.push(field);
            Ok(fields.len() - 1)
        };
        if let Some(header) = name.strip_prefix("request_header.") {
            return field(&mut self.request_fields, header).map(Atom::RequestField);
        }
        if let Some(header) = name.strip_prefix("response_header.") {
            return field(&mut self.response_fields, header).map(Atom::ResponseField);
        }
        let known: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
        let known = known.join(", ");
        Err(format!(
            "{{{name}}} is not known; the names are {known}, request_header.NAME and response_header.NAME"
        ))
    }

    /// Appends the line of `entry`, with its line end.
    pub(super) fn line(&self, out: &mut Vec<u8>, entry: &Entry, duration: Duration, masks: &Masks) {
        let shown = Shown { entry, duration, masks, format: self };
        if self.json {
            self.json_line(out, &shown);
        } else {
            self.plain_line(out, &shown);
        }
        out.push(b'\n');
    }

    fn plain_line(&self, out: &mut Vec<u8>, shown: &Shown<'_>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Value(_, atom) => match shown.value(*atom) {
                    Value::Nothing => out.push(b'-'),
                    Value::Number(number) => write_all(out, format_args!("{number}")),
                    Value::Seconds(time) => seconds(out, time),
                    Value::Text(text) => escape::plain(out, &text),
                },
            }
        }
    }

    fn json_line(&self, out: &mut Vec<u8>, shown: &Shown<'_>) {
        let mut begin = b'{';
        for piece in &self.pieces {
            let Piece::Value(key, atom) = piece else { continue };
            let value = shown.value(*atom);
            if matches!(value, Value::Nothing) {
                continue;
            }
            out.push(begin);
            begin = b',';
            write_all(out, format_args!("\"{key}\":"));
            match value {
                Value::Nothing => {}
                Value::Number(number) => write_all(out, format_args!("{number}")),
                Value::Seconds(time) => seconds(out, time),
                Value::Text(text) => escape::json(out, &text),
            }
        }
        out.push(b'}');
    }
}

fn write_all(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes whatever is written");
}

/// Seconds, with microseconds.
fn seconds(out: &mut Vec<u8>, time: Duration) {
    write_all(out, format_args!("{}.{:06}", time.as_secs(), time.subsec_micros()));
}

/// What an atom shows of a request.
enum Value<'a> {
    Nothing,
    Number(u64),
    Seconds(Duration),
    Text(Cow<'a, [u8]>),
}

impl<'a> Value<'a> {
    fn text(text: &'a str) -> Self {
        Value::Text(text.as_bytes().into())
    }

    fn owned(text: String) -> Self {
        Value::Text(text.into_bytes().into())
    }

    fn or_nothing<T>(value: Option<T>, show: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Value::Nothing, show)
    }
}

/// A request on its way into a line.
struct Shown<'a> {
    entry: &'a Entry,
    duration: Duration,
    masks: &'a Masks,
    format: &'a LineFormat,
}

impl<'a> Shown<'a> {
    fn value(&self, atom: Atom) -> Value<'a> {
        let entry = self.entry;
        match atom {
            Atom::Time => Value::owned(Timestamp::from(entry.time).to_string()),
            Atom::CommonTime => Value::owned(Timestamp::from(entry.time).common()),
            Atom::Epoch => Value::Seconds(entry.time.duration_since(UNIX_EPOCH).unwrap_or_default()),
            Atom::Remote => Value::or_nothing(entry.facts.peer.address, |address: IpAddr| {
                Value::owned(address.to_string())
            }),
            Atom::RemotePort => Value::or_nothing(entry.facts.peer.port, |port| Value::Number(port.into())),
            Atom::User => Value::or_nothing(entry.notes.user(), Value::text),
            Atom::Request if !entry.refused.is_empty() => Value::Text(entry.refused[..].into()),
            Atom::Request | Atom::Method | Atom::Target | Atom::Path | Atom::Query | Atom::Protocol => {
                Value::or_nothing(entry.line.as_ref(), |line| self.of_line(atom, line))
            }
            Atom::Scheme => Value::text(entry.facts.scheme.as_str()),
            Atom::Status => Value::Number(entry.status().as_u16().into()),
            Atom::Bytes => Value::Number(entry.meter.sent()),
            Atom::BodyBytes => Value::Number(entry.meter.body()),
            Atom::ReceivedBytes => Value::Number(entry.meter.received()),
            Atom::Duration => Value::Seconds(self.duration),
            Atom::FirstByte => Value::or_nothing(entry.first_byte(), Value::Seconds),
            Atom::Queue => Value::or_nothing(entry.notes.queued(), Value::Seconds),
            Atom::Abort => Value::or_nothing(entry.end.cause(), Value::text),
            Atom::RequestId => Value::or_nothing(entry.notes.request_id(), Value::text),
            Atom::TraceId => Value::or_nothing(entry.notes.trace_id(), Value::text),
            Atom::Application => {
                Value::or_nothing(entry.notes.application(), |name| Value::owned(name.to_string()))
            }
            Atom::Process => Value::Number(std::process::id().into()),
            Atom::RequestField(place) => {
                self.field(&self.format.request_fields, &entry.request_fields, place)
            }
            Atom::ResponseField(place) => {
                self.field(&self.format.response_fields, &entry.response_fields, place)
            }
        }
    }

    fn of_line(&self, atom: Atom, line: &'a Line) -> Value<'a> {
        let target = || self.masks.target(&line.target);
        let query = line.target.iter().position(|byte| *byte == b'?');
        match atom {
            Atom::Method => Value::text(line.method.as_str()),
            Atom::Target => Value::Text(target()),
            Atom::Path => Value::Text(line.target[..query.unwrap_or(line.target.len())].into()),
            Atom::Query => Value::or_nothing(query, |start| match target() {
                Cow::Borrowed(target) => Value::Text(target[start + 1..].into()),
                Cow::Owned(mut target) => Value::Text(target.split_off(start + 1).into()),
            }),
            Atom::Protocol => Value::text(protocol(line.version)),
            _ => {
                let parts = [line.method.as_str().as_bytes(), &target(), protocol(line.version).as_bytes()];
                Value::Text(parts.join(&b' ').into())
            }
        }
    }

    fn field(
        &self,
        names: &[HeaderName],
        values: &'a [Option<http::HeaderValue>],
        place: usize,
    ) -> Value<'a> {
        let value = values.get(place).and_then(Option::as_ref);
        Value::or_nothing(value, |value| Value::Text(self.masks.field(&names[place], value)))
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_not_known_is_refused_with_those_that_are() {
        let error = "{remote} {statsu}".parse::<LineFormat>().expect_err("no such name");
        assert!(error.starts_with("{statsu} is not known; the names are time, "), "{error}");
        assert!("{request_header.a b}".parse::<LineFormat>().is_err());
        assert!("{remote".parse::<LineFormat>().expect_err("open").contains("closing brace; add one"));
        assert!("common".parse::<LineFormat>().expect_err("no format").contains("combined, json"));
        assert!("{remote}\n".parse::<LineFormat>().is_err());
    }

    #[test]
    fn a_format_is_shown_as_it_was_written() {
        for text in ["combined", "json", "{remote} says \"{request_header.user-agent}\""] {
            assert_eq!(String::from(text.parse::<LineFormat>().expect(text)), text);
        }
    }
}
