//! What the tests decode with.

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::{Decompress, FlushDecompress};
use zstd_safe::{DCtx, InBuffer, OutBuffer};

use crate::accept::Coding;

pub(super) const CODINGS: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

/// As much as can be decoded of what may be only the beginning.
pub(super) fn decoded(coding: Coding, encoded: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 << 20);
    match coding {
        Coding::Zstd => {
            let mut input = InBuffer::around(encoded);
            let mut context = DCtx::create();
            while input.pos() < encoded.len() {
                let filled = out.len();
                let mut output = OutBuffer::around_pos(&mut out, filled);
                context.decompress_stream(&mut output, &mut input).expect("zstd");
            }
        }
        Coding::Brotli => {
            let alloc = StandardAlloc::default;
            let mut state = BrotliState::new(alloc(), alloc(), alloc());
            let (mut left, mut position, mut filled) = (encoded.len(), 0, 0);
            out.resize(out.capacity(), 0);
            let mut room = out.len();
            let result = BrotliDecompressStream(
                &mut left,
                &mut position,
                encoded,
                &mut room,
                &mut filled,
                &mut out,
                &mut 0,
                &mut state,
            );
            assert!(matches!(result, BrotliResult::ResultSuccess | BrotliResult::NeedsMoreInput), "brotli");
            out.truncate(filled);
        }
        Coding::Gzip => {
            Decompress::new_gzip(15).decompress_vec(encoded, &mut out, FlushDecompress::None).expect("gzip");
        }
        Coding::Identity => out.extend_from_slice(encoded),
    }
    out
}
