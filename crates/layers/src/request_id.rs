//! `RequestId`: gives every request an id, and a W3C trace context.
//!
//! ```
//! let request_id = layers::declaration("request_id")?;
//! let options = [("header", "x-request-id"), ("trust_inbound", "yes")]; // trusted: behind a proxy that sets it
//! let built = layers::build(request_id, layers::from_text(request_id, options)?)?;
//! # Ok::<(), onion::OptionError>(())
//! ```
//!
//! Promises: the application, the response and environ have the same id; that of an outer `RequestId` is kept. An id from a
//! client is used only if it is trusted, given once, short and made of harmless characters. A trace context that is not
//! used is removed, `tracestate` included. It does not log, and does not report spans.

use std::array;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use onion::{Answer, Declaration, Layer, Next, OptionError, Phase, Request, RequestExt, Value};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::fmt::Hyphenated;

use crate::fields::only;
use crate::trace_context;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "request_id",
    class: "RequestId",
    summary: "Gives every request an id and a trace context, and tells them to the application and the client.",
    phase: Phase::Edge,
    stands_alone: false,
    positional: None,
    schema: Declaration::schema_of::<Options>,
    build: |given| Ok(Arc::new(RequestId::new(onion::reading::read(given)?)?)),
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// The header that carries the id, in the request and in the response.
    header: String,
    /// Whether an id and a trace context that come with the request are taken over. Only for clients that are
    /// trusted: behind a proxy that sets these headers itself.
    trust_inbound: bool,
    /// The kind of id that is made: `uuid7` (ordered by time) or `uuid4` (random).
    format: Format,
    /// Whether to see to the `traceparent` and `tracestate` headers too; if not, they pass as they are.
    traceparent: bool,
    /// The longest id that is taken over, in bytes.
    max_len: NonZeroU16,
}

impl Default for Options {
    fn default() -> Self {
        let (header, format) = (USUAL.to_owned(), Format::Uuid7);
        Options { header, trust_inbound: false, format, traceparent: true, max_len: LONGEST }
    }
}

#[derive(Clone, Copy, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Format {
    Uuid7,
    Uuid4,
}

struct RequestId {
    header: HeaderName,
    options: Options,
}

impl Layer for RequestId {
    fn call<'a>(&'a self, mut request: Request, next: Next<'a>) -> Answer<'a> {
        let mut new = self.make();
        if self.options.traceparent {
            let traceparent = new.split_to(trace_context::LENGTH);
            trace_context::see_to(&mut request, self.options.trust_inbound, traceparent);
        }
        let id = self.see_to_id(&mut request, new);
        let answer = next.run(request);
        Box::pin(async {
            let mut response = answer.await;
            response.headers_mut().insert(self.header.clone(), id);
            response
        })
    }
}

impl RequestId {
    fn new(options: Options) -> Result<Self, OptionError> {
        let refused = |why: &str| {
            OptionError(format!("header: {:?} {why}; give one such as x-request-id", options.header))
        };
        let header: HeaderName = options.header.parse().map_err(|_| refused("is no header name"))?;
        // A static name counts no references to it.
        let header = if header == USUAL { HeaderName::from_static(USUAL) } else { header };
        if header.as_str().contains('_') {
            return Err(refused("has an underscore, which environ can't tell from a hyphen"));
        }
        if TAKEN.split(' ').any(|taken| taken == header.as_str()) {
            return Err(refused("has a meaning of its own"));
        }
        Ok(RequestId { header, options })
    }

    /// A new trace context, if there shall be one, and a new id right behind it: they share their memory.
    fn make(&self) -> Bytes {
        let mut text = [0; trace_context::LENGTH + Hyphenated::LENGTH];
        let (traceparent, id) = text.split_at_mut(trace_context::LENGTH);
        self.options.format.write(SystemTime::now(), onion::random(), id);
        if !self.options.traceparent {
            return Bytes::copy_from_slice(id);
        }
        traceparent.copy_from_slice(&trace_context::made_of(onion::random()));
        Bytes::copy_from_slice(&text)
    }

    /// Sees to it that the request has one good id, tells it, and gives it for the response.
    fn see_to_id(&self, request: &mut Request, new: Bytes) -> HeaderValue {
        let trusted = self.options.trust_inbound.then(|| only(request.headers(), &self.header)).flatten();
        let id = match (request.told(KEY), trusted.filter(|id| self.is_good(id))) {
            (Some(Value::Header(outer)), _) => outer.clone(),
            (_, Some(id)) => HeaderValue::from_str(id).expect("a good id is made of visible ASCII"),
            _ => HeaderValue::from_maybe_shared(new).expect("an id is made of visible ASCII"),
        };
        request.headers_mut().insert(self.header.clone(), id.clone());
        request.tell(KEY, Value::Header(id.clone()));
        id
    }

    fn is_good(&self, id: &str) -> bool {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._~+/=:@-".contains(&byte);
        !id.is_empty() && id.len() <= usize::from(self.options.max_len.get()) && id.bytes().all(harmless)
    }
}

impl Format {
    /// Writes an id that is made at `now`.
    fn write(self, now: SystemTime, random: [u8; 16], text: &mut [u8]) {
        let id = match self {
            Format::Uuid7 => {
                let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
                let millis = since.as_secs() * 1000 + u64::from(since.subsec_millis());
                let random = array::from_fn(|index| random[index]);
                uuid::Builder::from_unix_timestamp_millis(millis, &random)
            }
            Format::Uuid4 => uuid::Builder::from_random_bytes(random),
        };
        id.into_uuid().hyphenated().encode_lower(text);
    }
}

const KEY: &str = "onionskin.request_id";
const USUAL: &str = "x-request-id";

const LONGEST: NonZeroU16 = NonZeroU16::new(128).expect("128 is not zero");

/// Headers that an id would break.
const TAKEN: &str =
    "connection content-length content-type cookie host traceparent tracestate transfer-encoding";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::testing::{Outcome, refusal, request, send};

    async fn untrusted(headers: &[(&str, &str)]) -> Outcome {
        send("request_id", json!({}), request(None, headers)).await
    }

    async fn trusted(headers: &[(&str, &str)]) -> Outcome {
        send("request_id", json!({"trust_inbound": true}), request(None, headers)).await
    }

    #[tokio::test]
    async fn application_environ_and_response_tell_the_same_id() {
        let outcome = untrusted(&[]).await;

        let id = outcome.told("onionskin.request_id").expect("it is told");
        assert_eq!(id.len(), 36);
        assert_eq!(outcome.seen_header("x-request-id"), [id.as_str()]);
        assert_eq!(outcome.response.headers()["x-request-id"], id);
        assert_eq!(outcome.response.headers().get_all("x-request-id").iter().count(), 1);
    }

    #[tokio::test]
    async fn an_id_from_outside_is_replaced_unless_it_is_trusted() {
        let inbound = [("x-request-id", "from-outside")];

        assert_ne!(untrusted(&inbound).await.seen_header("x-request-id"), ["from-outside"]);
        assert_eq!(trusted(&inbound).await.seen_header("x-request-id"), ["from-outside"]);
    }

    #[tokio::test]
    async fn an_id_that_is_empty_long_or_harmful_is_replaced() {
        let (long, longer) = ("a".repeat(128), "a".repeat(129));

        assert_eq!(trusted(&[("x-request-id", &long)]).await.response.headers()["x-request-id"], long);
        for id in ["", "a b", "a\"b", "<b>", "a,b", &longer] {
            let id = trusted(&[("x-request-id", id)]).await.told("onionskin.request_id");
            assert_eq!(id.map(|id| id.len()), Some(36));
        }
    }

    #[tokio::test]
    async fn an_id_given_twice_is_replaced_by_one() {
        let outcome = trusted(&[("x-request-id", "a"), ("x-request-id", "b")]).await;

        let id = outcome.told("onionskin.request_id").expect("it is told");
        assert_eq!(outcome.seen_header("x-request-id"), [id]);
    }

    #[tokio::test]
    async fn the_header_can_be_chosen() {
        let outcome = send("request_id", json!({"header": "X-Correlation-ID"}), request(None, &[])).await;

        assert!(outcome.response.headers().contains_key("x-correlation-id"));
        assert_eq!(outcome.response.headers()["x-request-id"], "of-the-application");
    }

    #[test]
    fn a_uuid7_begins_with_the_time_and_a_uuid4_does_not() {
        let now = UNIX_EPOCH + Duration::from_millis(0x0123_4567_89ab);

        let id = |format: Format| {
            let mut text = [0; Hyphenated::LENGTH];
            format.write(now, [0xff; 16], &mut text);
            String::from_utf8(text.into()).expect("ASCII")
        };
        assert_eq!(id(Format::Uuid7), "01234567-89ab-7fff-bfff-ffffffffffff");
        assert_eq!(id(Format::Uuid4), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn a_header_that_an_id_would_break_is_refused_at_start_up() {
        for header in ["x request id", "x_request_id", "Host", "content-length"] {
            let refusal = refusal("request_id", json!({"header": header}));
            assert!(refusal.starts_with(&format!("request_id: header: {header:?} ")), "{refusal}");
            assert!(refusal.ends_with("; give one such as x-request-id"), "{refusal}");
        }
    }
}
