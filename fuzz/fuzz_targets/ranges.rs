//! Range fields over contents of any length: whatever is asked for, no more comes than there is.
//!
//! The first eight bytes are the length of the content, the rest is the field.

#![no_main]

use layers::ranges::Wanted;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((length, field)) = input.split_first_chunk() else { return };
    let (length, Ok(field)) = (u64::from_le_bytes(*length), str::from_utf8(field)) else { return };
    let Wanted::Parts(parts) = Wanted::of(field, length) else { return };
    assert!((1..=16).contains(&parts.len()));
    assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
    assert!(parts.iter().map(|part| u128::from(part.end - part.start)).sum::<u128>() <= u128::from(length));
});
