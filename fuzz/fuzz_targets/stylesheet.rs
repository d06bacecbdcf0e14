//! Arbitrary documents: looking for the stylesheet that one names never panics, and a comment before changes nothing.

#![no_main]

use layers::xslt::prolog::stylesheet_of;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    let named = stylesheet_of(document);
    if !document.starts_with(b"\xef\xbb\xbf") {
        assert_eq!(stylesheet_of(&[b"<!-- > ?> -->", document].concat()), named);
    }
});
