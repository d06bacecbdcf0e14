//! What layers cost a request that they let pass, beside the handler alone: `cargo run --release -p layers --example layers`.
//!
//! `... --example layers -- five` runs one onion only, for a counter of instructions such as callgrind.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::env;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Polling, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Uri, header};
use onion::{Answer, Connection, Context, Handler, Peer, Request, Response, answer, reuse};
use serde_json::{Value, json};

fn main() {
    let wanted = env::args().nth(1);
    let all = [
        ("mount", json!({"routes": {"/api": "hello", "/admin": "hello"}})),
        ("allow_addresses", json!({"allowed_addresses": ["10.0.0.0/8", "192.0.2.7", "127.0.0.1"]})),
        ("errors", json!({})),
        (
            "headers",
            json!({"response": {"set": {"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff"}}}),
        ),
        ("request_id", json!({})),
    ];
    let mut onions = vec![("none", build(&[]))];
    onions.extend(all.iter().map(|layer| (layer.0, build(std::slice::from_ref(layer)))));
    onions.push(("five", build(&all)));
    let mut alone = None;
    for (name, onion) in
        onions.iter().filter(|(name, _)| wanted.as_deref().is_none_or(|wanted| wanted == *name))
    {
        let nanos = (0..ROUNDS).map(|_| mean(&**onion)).min().unwrap_or_default();
        let more = nanos.saturating_sub(*alone.get_or_insert(nanos));
        println!("{name:16} {nanos:5} ns, {more:5} ns of it for the layers");
    }
}

/// `layers` around a handler, the last of them outermost.
fn build(layers: &[(&str, Value)]) -> Arc<dyn Handler> {
    let find = |_: &str| -> Result<Arc<dyn Handler>, String> { Ok(Arc::new(Hello)) };
    let mut onion: Arc<dyn Handler> = Arc::new(Hello);
    for (name, options) in layers {
        let declaration = layers::declaration(name).expect("there is such a layer");
        let options = options.as_object().cloned().expect("a table");
        let built = onion::Supply::finding(find).at_hand(|| layers::build(declaration, options));
        let built = built.expect("good options");
        onion = onion::wrap_when(built.layer, built.when, onion);
    }
    onion
}

struct Hello;

impl Handler for Hello {
    fn call(&self, request: Request) -> Answer<'_> {
        let (parts, _) = request.into_parts();
        reuse::give_back(parts.headers, parts.extensions);
        let mut response = Response::new(Bytes::from_static(b"Hello, World!").into());
        *response.headers_mut() = reuse::headers();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("13"));
        answer(response)
    }
}

/// Nanoseconds a request.
fn mean(onion: &dyn Handler) -> u128 {
    let peer = Peer { address: Some([127, 0, 0, 1].into()), port: Some(40_000) };
    let connection = Arc::new(Connection { peer, local: peer, ..Connection::default() });
    let begun = Instant::now();
    for _ in 0..REQUESTS {
        let target = Bytes::from_static(b"/api/items");
        let mut request = Request::new(onion::Body::empty());
        *request.uri_mut() = Uri::from_maybe_shared(target.clone()).expect("a path");
        *request.headers_mut() = reuse::headers();
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("127.0.0.1:8000"));
        *request.extensions_mut() = reuse::extensions(Context::new(Arc::clone(&connection), target));
        let Poll::Ready(response) = pin!(onion.call(request)).poll(&mut Polling::from_waker(Waker::noop()))
        else {
            unreachable!("none of these layers waits")
        };
        assert!(response.status().is_success(), "{}", response.status());
        reuse::give_headers(black_box(response).into_parts().0.headers);
    }
    begun.elapsed().as_nanos() / u128::from(REQUESTS)
}

const REQUESTS: u32 = 100_000;

/// The least of so many counts: what disturbs only adds.
const ROUNDS: usize = 5;
