//! Arbitrary `Accept-Encoding` and `Accept` fields: nothing panics, and what is chosen is what was accepted.

#![no_main]

use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue};
use layers::accept::{Accepted, Coding};
use libfuzzer_sys::fuzz_target;

const OFFERED: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(ACCEPT_ENCODING, value.clone());
            headers.append(ACCEPT, value);
        }
    }
    let accepted = Accepted::of(&headers);
    let weight = |coding| accepted.weight(coding);
    match accepted.best(&OFFERED) {
        None => assert!(OFFERED.into_iter().chain([Coding::Identity]).all(|coding| weight(coding) == 0)),
        Some(best) => {
            assert!(weight(best) > 0 && OFFERED.into_iter().all(|coding| weight(coding) <= weight(best)));
        }
    }
    assert!(layers::media::weight(&headers, "text/html") <= 1000);
});
