//! Fields of conditional requests: what matches strongly matches weakly too, and only what matches has parts sent.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderValue, Method};
use layers::conditions::{Validators, Verdict};
use libfuzzer_sys::fuzz_target;

const MODIFIED: u64 = 1_700_000_000;

fuzz_target!(|input: &[u8]| {
    let Ok(field) = HeaderValue::from_bytes(input) else { return };
    let modified = UNIX_EPOCH + Duration::from_secs(MODIFIED);
    let current = Validators { etag: Some("\"a\""), modified: Some(modified) };
    let verdict = |name| current.evaluate(&Method::GET, &headers(name, &field));
    let matches = verdict(IF_MATCH) == Verdict::Proceed;
    if matches {
        assert_eq!(verdict(IF_NONE_MATCH), Verdict::NotModified);
    }
    if verdict(IF_UNMODIFIED_SINCE) == Verdict::Failed {
        assert_eq!(verdict(IF_MODIFIED_SINCE), Verdict::Proceed);
    }
    let whole_day = Duration::from_secs(86_400);
    if current.range_counts(&headers(IF_RANGE, &field), modified + whole_day) {
        assert!(matches || verdict(IF_MODIFIED_SINCE) == Verdict::NotModified);
    }
});

fn headers(name: HeaderName, field: &HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(name, field.clone())])
}
