//! `Headers`: sets, appends, defaults and removes headers, on requests and on responses.
//!
//! ```
//! let headers = layers::declaration("headers")?;
//! let options = [("response.set.X-Frame-Options", "DENY"), ("response.remove", "X-Powered-By")];
//! let built = layers::build(headers, layers::from_text(headers, options)?)?;
//! # Ok::<(), onion::OptionError>(())
//! ```
//!
//! Promises: every response is treated, those of the layers inside too; names and values are checked at start-up; what
//! frames a message (`Content-Length`, `Transfer-Encoding`, what belongs to one connection) cannot be touched.
//!
//! Its values are fixed: nothing of a request gets into them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use onion::{Answer, Declaration, Layer, Next, OptionError, Phase, Request};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "headers",
    class: "Headers",
    summary: "Sets, appends, defaults and removes headers, on requests and on responses.",
    phase: Phase::Outgoing,
    stands_alone: false,
    positional: None,
    schema: Declaration::schema_of::<Options>,
    build: |given| Ok(Arc::new(Headers::new(onion::reading::read(given)?)?)),
};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// What becomes of the request's headers before the application sees them: a table of `set` (in the place of any
    /// other), `append` (beside others), `default` (if there is none) and `remove`. The first three are tables of names
    /// and values, where a list stands for several lines; `remove` is a list of names.
    request: Option<Changes>,
    /// What becomes of the response's headers: a table as for `request`.
    response: Option<Changes>,
}

#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(inline)]
struct Changes {
    set: BTreeMap<String, Values>,
    append: BTreeMap<String, Values>,
    default: BTreeMap<String, Values>,
    remove: Vec<String>,
}

/// The value of a header, or those of several lines.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum Values {
    One(String),
    Several(Vec<String>),
}

struct Headers {
    request: Compiled,
    response: Compiled,
}

impl Layer for Headers {
    fn call<'a>(&'a self, mut request: Request, next: Next<'a>) -> Answer<'a> {
        self.request.apply(request.headers_mut());
        let answer = next.run(request);
        Box::pin(async {
            let mut response = answer.await;
            self.response.apply(response.headers_mut());
            response
        })
    }
}

impl Headers {
    fn new(options: Options) -> Result<Self, OptionError> {
        if options.request.is_none() && options.response.is_none() {
            let message = "there is nothing to do; give request or response, \
                           such as {\"set\": {\"X-Frame-Options\": \"DENY\"}}";
            return Err(OptionError(message.to_owned()));
        }
        let request = Compiled::new("request", &options.request.unwrap_or_default())?;
        let response = Compiled::new("response", &options.response.unwrap_or_default())?;
        Ok(Headers { request, response })
    }
}

/// The changes to one kind of message. No header is in two of them, so their order does not matter.
struct Compiled {
    set: Vec<Lines>,
    append: Vec<Lines>,
    default: Vec<Lines>,
    remove: Vec<HeaderName>,
}

/// The lines of one header.
type Lines = (HeaderName, Vec<HeaderValue>);

impl Compiled {
    fn new(message: &'static str, changes: &Changes) -> Result<Self, OptionError> {
        let mut reader = Reader { message, seen: BTreeSet::new() };
        let remove = changes.remove.iter().map(|name| reader.name("remove", name));
        let remove = remove.collect::<Result<_, _>>()?;
        let mut lines = |mode, given: &BTreeMap<String, Values>| -> Result<Vec<Lines>, OptionError> {
            given.iter().map(|(name, values)| reader.lines(mode, name, values)).collect()
        };
        Ok(Compiled {
            set: lines("set", &changes.set)?,
            append: lines("append", &changes.append)?,
            default: lines("default", &changes.default)?,
            remove,
        })
    }

    fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, values) in &self.set {
            let Some((first, others)) = values.split_first() else { continue };
            headers.insert(name, first.clone());
            append(headers, name, others);
        }
        for (name, values) in &self.append {
            append(headers, name, values);
        }
        for (name, values) in &self.default {
            if !headers.contains_key(name) {
                append(headers, name, values);
            }
        }
    }
}

fn append(headers: &mut HeaderMap, name: &HeaderName, values: &[HeaderValue]) {
    for value in values {
        headers.append(name, value.clone());
    }
}

/// Reads the changes to one kind of message, and refuses what would break it.
struct Reader {
    message: &'static str,
    seen: BTreeSet<String>,
}

impl Reader {
    fn lines(&mut self, mode: &str, given: &str, values: &Values) -> Result<Lines, OptionError> {
        let name = self.name(mode, given)?;
        let values = match values {
            Values::One(value) => std::slice::from_ref(value),
            Values::Several(values) => values,
        };
        if values.is_empty() {
            return Err(self.refusal(mode, given, "has no value", "give one, or remove the header"));
        }
        if SINGLE.contains(&name) && (values.len() > 1 || mode == "append") {
            return Err(self.refusal(mode, given, "may come only once", "set it to one value"));
        }
        let read = |value: &String| {
            let read =
                HeaderValue::from_str(value).ok().filter(|_| value.is_ascii() && value.trim() == value);
            read.ok_or_else(|| {
                let why = format!("can't have the value {:?}", onion::masking::named(given, value));
                self.refusal(mode, given, &why, "write visible ASCII, with spaces only inside")
            })
        };
        Ok((name, values.iter().map(read).collect::<Result<_, _>>()?))
    }

    fn name(&mut self, mode: &str, given: &str) -> Result<HeaderName, OptionError> {
        let Ok(name) = given.parse::<HeaderName>() else {
            return Err(self.refusal(mode, given, "is no header name", "write one such as X-Frame-Options"));
        };
        let is_request = self.message == "request";
        if FRAMING.contains(&name.as_str()) || (is_request && name == header::HOST && mode != "set") {
            return Err(self.refusal(mode, given, "is the server's own matter", "leave it out"));
        }
        if is_request && given.contains('_') {
            let why = "has an underscore, which environ can't tell from a hyphen";
            return Err(self.refusal(mode, given, why, "write a hyphen"));
        }
        if !self.seen.insert(name.as_str().to_owned()) {
            return Err(self.refusal(mode, given, "is treated already", "name a header once"));
        }
        Ok(name)
    }

    fn refusal(&self, mode: &str, given: &str, why: &str, advice: &str) -> OptionError {
        OptionError(format!("{}.{mode}: {given:?} {why}; {advice}", self.message))
    }
}

/// What belongs to one connection or to the framing of a message (RFC 9110 sections 7.6.1 and 8.6), and what CGI
/// takes for the status line.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "status",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers of which a message has one at most.
const SINGLE: &[HeaderName] = &[
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::DATE,
    header::ETAG,
    header::HOST,
    header::LAST_MODIFIED,
    header::LOCATION,
    header::SERVER,
];

#[cfg(test)]
mod tests;
