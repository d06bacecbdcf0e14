//! The PROXY protocol: whatever comes, a header is taken whole or not at all, and how it was cut changes nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use server::proxy_protocol::{MOST, Parsed, parse};

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes);
    if let Parsed::Header(header) = whole {
        assert!(header.length <= bytes.len() && header.length <= MOST);
        assert_eq!(parse(&bytes[..header.length]), whole);
    }
    for end in 0..bytes.len().min(300) {
        match (parse(&bytes[..end]), whole) {
            (Parsed::Partial, _) => {}
            (Parsed::Broken(_), Parsed::Broken(_)) => {}
            (early, whole) => assert_eq!(early, whole),
        }
    }
    if bytes.len() > MOST {
        assert_ne!(whole, Parsed::Partial);
    }
});
