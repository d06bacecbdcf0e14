//! W3C Trace Context: the `traceparent` and `tracestate` headers, which tie the work for one request together.
//!
//! Promises: a context that is taken over stays as it is, byte for byte; one that is not leaves nothing behind.
//!
//! It does not sample: a context that is made here has no flags, so whoever traces decides.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use onion::{Request, RequestExt, Value};

use crate::fields::only;

/// Sees to it that the request has one good `traceparent`, and tells its trace id.
///
/// One that came with the request is kept if it is `trusted` and valid; else `new` takes the place of all others.
pub(crate) fn see_to(request: &mut Request, trusted: bool, new: Bytes) {
    let inbound = if trusted { only(request.headers(), &TRACEPARENT).and_then(trace_id) } else { None };
    let id = match inbound {
        Some(id) => HeaderValue::from_str(id).expect("a trace id is hexadecimal"),
        None => replace(request, new),
    };
    request.tell("onionskin.trace_id", Value::Header(id));
}

/// Puts `new` in the place of any other, and gives its trace id.
fn replace(request: &mut Request, new: Bytes) -> HeaderValue {
    let id = HeaderValue::from_maybe_shared(new.slice(TRACE)).expect("hexadecimal");
    let traceparent = HeaderValue::from_maybe_shared(new).expect("it is made of visible ASCII");
    request.headers_mut().insert(TRACEPARENT, traceparent);
    request.headers_mut().remove(TRACESTATE);
    id
}

/// The text of a new `traceparent`.
pub(crate) fn made_of(random: [u8; 24]) -> [u8; LENGTH] {
    let mut text = *b"00-tttttttttttttttttttttttttttttttt-pppppppppppppppp-00";
    let (trace, parent) = random.split_at(16);
    write_hexadecimal(&mut text[TRACE], trace);
    write_hexadecimal(&mut text[PARENT], parent);
    text
}

/// Of a `traceparent` of version 00, in bytes.
pub(crate) const LENGTH: usize = 55;

fn write_hexadecimal(text: &mut [u8], bytes: &[u8]) {
    for (digits, byte) in text.chunks_exact_mut(2).zip(bytes) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 0xf)];
    }
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

/// Where in a `traceparent` the trace id is, and the id of what the request came from.
const TRACE: Range<usize> = 3..35;
const PARENT: Range<usize> = 36..52;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

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

    #[test]
    fn only_a_valid_traceparent_has_a_trace_id() {
        let later = format!("cc-{}-and-more", &GIVEN[3..]);
        for valid in [GIVEN, &later] {
            assert_eq!(trace_id(valid), Some(&GIVEN[3..35]), "{valid}");
        }
        let zeros = format!("00-{:032}-00f067aa0ba902b7-01", 0);
        let [more, shouted, invalid] =
            [format!("{GIVEN}-x"), GIVEN.to_uppercase(), GIVEN.replacen("00", "ff", 1)];
        for wrong in ["", "00", &GIVEN[..54], &zeros, &more, &shouted, &invalid] {
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
