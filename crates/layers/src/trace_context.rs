//! W3C Trace Context: the `traceparent` and `tracestate` headers, which tie the work for one request together.
//!
//! Promises: a context that is taken over stays as it is, byte for byte; one that is not leaves nothing behind.
//!
//! It does not sample: a context that is made here has no flags, so whoever traces decides.

use std::array;

use http::{HeaderName, HeaderValue};
use onion::{Request, RequestExt, Value};

use crate::fields::only;

/// Sees to it that the request has one good `traceparent`, and tells its trace id.
///
/// One that came with the request is kept if it is `trusted` and valid.
pub(crate) fn see_to(request: &mut Request, trusted: bool, random: [u8; 24]) {
    let inbound = only(request.headers(), &TRACEPARENT).filter(|_| trusted).and_then(trace_id);
    let id = match inbound {
        Some(id) => id.to_owned(),
        None => replace(request, random),
    };
    request.tell("onionskin.trace_id", Value::Text(id));
}

/// Puts a new trace context in the place of any other, and gives its trace id.
fn replace(request: &mut Request, random: [u8; 24]) -> String {
    let trace = u128::from_be_bytes(array::from_fn(|index| random[index]));
    let parent = u64::from_be_bytes(array::from_fn(|index| random[16 + index]));
    let id = format!("{trace:032x}");
    let traceparent = format!("00-{id}-{parent:016x}-00");
    let traceparent = HeaderValue::try_from(traceparent).expect("it is made of visible ASCII");
    request.headers_mut().insert(TRACEPARENT, traceparent);
    request.headers_mut().remove(TRACESTATE);
    id
}

/// The trace id of a `traceparent` (W3C Trace Context section 3.2), if it is valid.
fn trace_id(traceparent: &str) -> Option<&str> {
    let hexadecimal = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_part = |text: &&str, length| text.len() == length && hexadecimal(text);
    let is_id = |text: &&str, length| is_part(text, length) && text.bytes().any(|byte| byte != b'0');
    let mut parts = traceparent.split('-');
    let version = parts.next().filter(|version| is_part(version, 2) && *version != "ff")?;
    let trace = parts.next().filter(|trace| is_id(trace, 32))?;
    parts.next().filter(|parent| is_id(parent, 16))?;
    parts.next().filter(|flags| is_part(flags, 2))?;
    // A later version may have more parts; version 00 has these four.
    (version != "00" || parts.next().is_none()).then_some(trace)
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Outcome, request, send};

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    async fn send_with(trusted: bool, headers: &[(&str, &str)]) -> Outcome {
        send("request_id", json!({"trust_inbound": trusted}), request(None, headers)).await
    }

    #[tokio::test]
    async fn a_trusted_trace_context_is_kept_as_it_is() {
        let outcome = send_with(true, &[("traceparent", PARENT), ("tracestate", "a=1")]).await;

        assert_eq!(outcome.seen_header("traceparent"), [PARENT]);
        assert_eq!(outcome.seen_header("tracestate"), ["a=1"]);
        assert_eq!(outcome.told("onionskin.trace_id").as_deref(), Some(&PARENT[3..35]));
    }

    #[tokio::test]
    async fn a_trace_context_that_is_not_trusted_leaves_nothing_behind() {
        let outcome = send_with(false, &[("traceparent", PARENT), ("tracestate", "a=1")]).await;

        let [parent] = outcome.seen_header("traceparent")[..] else { panic!("one traceparent") };
        assert!(parent.starts_with("00-") && parent.ends_with("-00") && parent.len() == 55, "{parent}");
        assert_ne!(parent[3..35], PARENT[3..35]);
        assert_eq!(outcome.told("onionskin.trace_id").as_deref(), Some(&parent[3..35]));
        assert!(outcome.seen_header("tracestate").is_empty());
    }

    #[tokio::test]
    async fn an_invalid_trace_context_is_replaced_even_if_it_is_trusted() {
        for headers in [&[("traceparent", "x")][..], &[("traceparent", PARENT), ("traceparent", PARENT)][..]]
        {
            let outcome = send_with(true, headers).await;

            assert_eq!(outcome.seen_header("traceparent").len(), 1);
            assert_ne!(outcome.told("onionskin.trace_id").as_deref(), Some(&PARENT[3..35]));
        }
    }

    #[test]
    fn a_new_trace_context_is_made_of_the_random_bytes() {
        let mut request = request(None, &[]);
        see_to(&mut request, false, array::from_fn(|index| u8::try_from(index).expect("small")));

        let expected = "00-000102030405060708090a0b0c0d0e0f-1011121314151617-00";
        assert_eq!(request.headers()["traceparent"], expected);
    }

    #[test]
    fn only_a_valid_traceparent_has_a_trace_id() {
        let later = format!("cc-{}-and-more", &PARENT[3..]);
        for valid in [PARENT, &later] {
            assert_eq!(trace_id(valid), Some(&PARENT[3..35]), "{valid}");
        }
        let zeros = format!("00-{:032}-00f067aa0ba902b7-01", 0);
        let [more, shouted, invalid] =
            [format!("{PARENT}-x"), PARENT.to_uppercase(), PARENT.replacen("00", "ff", 1)];
        for wrong in ["", "00", &PARENT[..54], &zeros, &more, &shouted, &invalid] {
            assert_eq!(trace_id(wrong), None, "{wrong}");
        }
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
