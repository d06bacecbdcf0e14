//! W3C Trace Context: the `traceparent` and `tracestate` headers, which tie the work for one request together.
//!
//! Promises: a context that is taken over stays as it is, byte for byte; one that is not leaves nothing behind.
//!
//! It does not sample: a context that is made here has no flags, so whoever traces decides. A server that traces has
//! made one before.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use onion::{Request, RequestExt, Traceparent, Value};

use crate::fields::only;

/// Sees to it that the request has one good `traceparent`, and tells its trace id.
///
/// One that came with the request is kept if it is `trusted` and valid, one that the server (which traces) or an outer
/// layer has made in any case. Otherwise `new` replaces all others.
pub(crate) fn see_to(request: &mut Request, trusted: bool, new: Bytes) {
    let traces = request.context().and_then(|context| context.notes.as_ref()?.span()).is_some();
    let is_ours = traces || request.told(KEY).is_some();
    let kept =
        if trusted || is_ours { only(request.headers(), &TRACEPARENT).and_then(trace_id) } else { None };
    let id = match kept {
        Some(id) => HeaderValue::from_str(id).expect("a trace id is hexadecimal"),
        None => replace(request, new),
    };
    request.tell(KEY, Value::Header(id));
}

/// Puts `new` in the place of any other, and gives its trace id.
fn replace(request: &mut Request, new: Bytes) -> HeaderValue {
    let id = HeaderValue::from_maybe_shared(new.slice(Traceparent::TRACE)).expect("hexadecimal");
    let traceparent = HeaderValue::from_maybe_shared(new).expect("it is made of visible ASCII");
    request.headers_mut().insert(TRACEPARENT, traceparent);
    request.headers_mut().remove(TRACESTATE);
    id
}

/// The text of a new `traceparent`.
pub(crate) fn made_of(random: [u8; 24]) -> [u8; LENGTH] {
    let (trace, span) = random.split_at(16);
    let array = "it is split there";
    let (trace, span) = (trace.try_into().expect(array), span.try_into().expect(array));
    Traceparent { trace, span, sampled: false }.text()
}

/// In bytes.
pub(crate) const LENGTH: usize = Traceparent::LENGTH;

/// The trace id of a `traceparent`, if it is valid.
fn trace_id(traceparent: &str) -> Option<&str> {
    Traceparent::read(traceparent).map(|_| &traceparent[Traceparent::TRACE])
}

/// The key of environ that has the trace id.
const KEY: &str = "onionskin.trace_id";

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

#[cfg(test)]
mod tests {
    use std::array;

    use serde_json::json;

    use super::*;
    use crate::testing::{Outcome, request, send};

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    async fn send_with(trusted: bool, headers: &[(&str, &str)]) -> Outcome {
        send("request_id", json!({"trust_inbound": trusted}), request(None, headers)).await
    }

    #[tokio::test]
    async fn a_trusted_trace_context_is_kept_as_it_is() {
        let outcome = send_with(true, &[("traceparent", GIVEN), ("tracestate", "a=1")]).await;

        assert_eq!(outcome.seen_header("traceparent"), [GIVEN]);
        assert_eq!(outcome.seen_header("tracestate"), ["a=1"]);
        assert_eq!(outcome.told("onionskin.trace_id").as_deref(), Some(&GIVEN[3..35]));
    }

    #[tokio::test]
    async fn a_trace_context_that_is_not_trusted_leaves_nothing_behind() {
        let outcome = send_with(false, &[("traceparent", GIVEN), ("tracestate", "a=1")]).await;

        let [parent] = outcome.seen_header("traceparent")[..] else { panic!("one traceparent") };
        assert!(parent.starts_with("00-") && parent.ends_with("-00") && parent.len() == 55, "{parent}");
        assert_ne!(parent[3..35], GIVEN[3..35]);
        assert_eq!(outcome.told("onionskin.trace_id").as_deref(), Some(&parent[3..35]));
        assert!(outcome.seen_header("tracestate").is_empty());
    }

    #[tokio::test]
    async fn an_invalid_trace_context_is_replaced_even_if_it_is_trusted() {
        for headers in [&[("traceparent", "x")][..], &[("traceparent", GIVEN), ("traceparent", GIVEN)][..]] {
            let outcome = send_with(true, headers).await;

            assert_eq!(outcome.seen_header("traceparent").len(), 1);
            assert_ne!(outcome.told("onionskin.trace_id").as_deref(), Some(&GIVEN[3..35]));
        }
    }

    #[test]
    fn a_new_trace_context_is_made_of_the_random_bytes() {
        let random = array::from_fn(|index| u8::try_from(index).expect("small"));

        assert_eq!(&made_of(random), b"00-000102030405060708090a0b0c0d0e0f-1011121314151617-00");
    }

    #[tokio::test]
    async fn the_trace_context_can_be_left_alone() {
        let inbound = request(None, &[("traceparent", "as it is"), ("tracestate", "a=1")]);
        let outcome = send("request_id", json!({"traceparent": false}), inbound).await;

        assert_eq!(outcome.seen_header("traceparent"), ["as it is"]);
        assert_eq!(outcome.seen_header("tracestate"), ["a=1"]);
        assert_eq!(outcome.told("onionskin.trace_id"), None);
    }
}
