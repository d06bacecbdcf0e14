//! What `Compress` costs beside the codec alone, in time of the processor:
//! `cargo run --release -p layers --example compress`.
//!
//! `... --example compress -- gzip layer 100` runs one way only, for a counter of instructions such as callgrind.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::env;
use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use flate2::{Compression, FlushCompress};
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use onion::{Answer, Body, Handler, Request, Response};
use rustix::time::{ClockId, clock_gettime};
use zstd_safe::CCtx;

fn main() {
    let given: Vec<String> = env::args().skip(1).collect();
    let times = given.get(2).and_then(|times| times.parse().ok()).unwrap_or(500);
    for body in [rows(10_000), rows(100_000)] {
        for coding in ["zstd", "br", "gzip"] {
            for way in ["codec", "layer"] {
                if given.iter().take(2).all(|wanted| [coding, way].contains(&wanted.as_str())) {
                    let micros = if way == "codec" {
                        codec(coding, &body, times)
                    } else {
                        layer(coding, &body, times)
                    };
                    println!("{:6} bytes, {coding:4}, {way}: {micros:6} us", body.len());
                }
            }
        }
    }
}

/// The codec with its default level and its memory used again, where it has any that can be.
fn codec(coding: &str, body: &[u8], times: u32) -> u128 {
    let mut zstd = CCtx::create();
    let mut gzip = flate2::Compress::new_gzip(Compression::new(6), 15);
    mean(times, || match coding {
        "zstd" => {
            let mut out = Vec::with_capacity(zstd_safe::compress_bound(body.len()));
            zstd.compress(&mut out, body, 3).expect("zstd");
            out
        }
        "br" => {
            let mut out = Vec::with_capacity(body.len());
            let parameters = brotli::enc::BrotliEncoderParams {
                quality: 4,
                lgwin: 18,
                size_hint: body.len(),
                ..Default::default()
            };
            brotli::BrotliCompress(&mut &*body, &mut out, &parameters).expect("brotli");
            out
        }
        _ => {
            gzip.reset();
            let mut out = Vec::with_capacity(body.len());
            gzip.compress_vec(body, &mut out, FlushCompress::Finish).expect("gzip");
            out
        }
    })
}

fn layer(coding: &str, body: &Bytes, times: u32) -> u128 {
    let built = layers::build(layers::declaration("compress").expect("a layer"), serde_json::Map::new());
    let onion = onion::wrap(built.expect("its options").layer, Arc::new(Rows(body.clone())));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    mean(times, || {
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_str(coding).expect("a name"));
        runtime.block_on(async { onion.call(request).await.into_body().into_bytes(u64::MAX).await })
    })
}

struct Rows(Bytes);

impl Handler for Rows {
    fn call(&self, _request: Request) -> Answer<'_> {
        Box::pin(async move {
            let mut response = Response::new(self.0.clone().into());
            let headers: &mut HeaderMap = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        })
    }
}

/// Rows of JSON that repeat themselves as much as rows do.
fn rows(length: usize) -> Bytes {
    let mut state = 7_u64;
    let mut next = move |most: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    let words = ["onion", "layer", "request", "response", "peel", "skin", "core", "server", "door", "house"];
    let mut text = String::from("[");
    while text.len() < length {
        let (first, second) = (words[usize::try_from(next(10)).expect("small")], words[3]);
        text.extend([format!(
            "{{\"id\": {}, \"name\": \"{first} {second}\", \"email\": \"{first}{}@example.org\", \"active\": {}}}, ",
            next(1_000_000),
            next(100),
            next(2) == 0,
        )]);
    }
    text.truncate(length);
    text.into()
}

fn mean<T>(times: u32, mut work: impl FnMut() -> T) -> u128 {
    black_box(work());
    let begun = processor_micros();
    for _ in 0..times {
        black_box(work());
    }
    (processor_micros() - begun) / u128::from(times)
}

/// The time that all threads of this process have had, in microseconds.
fn processor_micros() -> u128 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let parts = (u128::try_from(time.tv_sec), u128::try_from(time.tv_nsec));
    let (Ok(seconds), Ok(nanos)) = parts else { unreachable!("it begins at zero") };
    seconds * 1_000_000 + nanos / 1000
}
