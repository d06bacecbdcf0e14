//! What becomes of responses of every kind, and in what form they arrive.

use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Response as Answer, header};
use http_body::Frame;
use onion::{Body, BodyError, End, FileRange, Handler, Layer, Next, Request, Response};
use serde_json::{Value, json};

use super::testing::decoded;
use crate::accept::Coding;
use crate::testing::refusal;

const ALL: &str = "gzip, deflate, br, zstd";
const TEXT: &[(&str, &str)] = &[("content-type", "text/html")];

fn layer(options: Value) -> Arc<dyn Layer> {
    let Value::Object(options) = options else { unreachable!("a test gives a table") };
    crate::build(crate::declaration("compress").expect("a layer"), options).expect("a layer").layer
}

/// Answers once, and keeps the request.
struct Once(std::sync::Mutex<(Option<Response>, Option<Request>)>);

impl Handler for Once {
    fn call(&self, request: Request) -> onion::Answer<'_> {
        Box::pin(async move {
            let mut kept = self.0.lock().expect("no test panicked with it");
            kept.1 = Some(request);
            kept.0.take().expect("one call")
        })
    }
}

fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut builder = Answer::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).expect("a response")
}

fn get(headers: &[(&str, &str)]) -> Request {
    crate::testing::request(None, headers)
}

async fn through(options: Value, request: Request, inner: Response) -> (Response, Request) {
    let once = Once(std::sync::Mutex::new((Some(inner), None)));
    let response = layer(options).call(request, Next::new(&once)).await;
    let seen = once.0.into_inner().expect("no test panicked with it").1.expect("one call");
    (response, seen)
}

async fn compressed(accept: &str, inner: Response) -> Response {
    through(json!({}), get(&[("accept-encoding", accept)]), inner).await.0
}

fn coding(response: &Response) -> &str {
    response.headers().get(header::CONTENT_ENCODING).map_or("", |value| value.to_str().expect("text"))
}

async fn content(response: Response) -> Vec<u8> {
    let coding = Coding::named(coding(&response)).unwrap_or(Coding::Identity);
    let bytes = response.into_body().into_bytes(u64::MAX).await.expect("a whole body");
    decoded(coding, &bytes)
}

fn page(length: usize) -> Bytes {
    let line = (0..).flat_map(|number: usize| format!("<li>{number}</li>\n").into_bytes());
    line.take(length).collect::<Vec<_>>().into()
}

/// Blocks of a producer that may be slow; each poll is counted.
struct Blocks(std::vec::IntoIter<Result<Bytes, BodyError>>, Arc<AtomicUsize>);

impl http_body::Body for Blocks {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(self.0.next().map(|block| block.map(Frame::data)))
    }
}

fn blocks(blocks: Vec<Result<Bytes, BodyError>>) -> (Body, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    (Body::stream(Blocks(blocks.into_iter(), Arc::clone(&asked))), asked)
}

#[tokio::test]
async fn the_client_gets_what_it_likes_best() {
    for (accept, expected) in [
        (ALL, "zstd"),
        ("gzip, br", "br"),
        ("gzip;q=1, br;q=0.5", "gzip"),
        ("zstd;q=0, br;q=0, *", "gzip"),
        ("*", "zstd"),
        ("gzip;q=0", ""),
        ("identity", ""),
        ("deflate", ""),
        ("", ""),
        ("identity;q=0, *;q=0", ""),
        ("gzip;q=0.5, identity", ""),
    ] {
        let response = compressed(accept, response(200, TEXT, page(2000))).await;
        assert_eq!(coding(&response), expected, "{accept}");
        assert_eq!(response.headers()[header::VARY], "accept-encoding", "{accept}");
        assert_eq!(content(response).await, page(2000), "{accept}");
    }
}

#[tokio::test]
async fn the_house_prefers_what_it_names_first() {
    let request = get(&[("accept-encoding", ALL)]);
    let options = json!({"encodings": ["gzip", "br"]});

    assert_eq!(coding(&through(options, request, response(200, TEXT, page(2000))).await.0), "gzip");
}

#[tokio::test]
async fn what_must_stay_as_it_is_does() {
    let with = |name, value| [("content-type", "text/html"), (name, value)];
    for inner in [
        response(206, TEXT, page(2000)),
        response(200, &[("content-type", "image/png")], page(2000)),
        response(200, &[], page(2000)),
        response(200, &with("content-encoding", "br"), page(2000)),
        response(200, &with("content-encoding", "identity"), page(2000)),
        response(200, &with("content-range", "bytes 0-1999/5000"), page(2000)),
        response(200, &with("cache-control", "max-age=5, No-Transform"), page(2000)),
        response(200, &with("repr-digest", "sha-256=:AA==:"), page(2000)),
        response(204, TEXT, Body::empty()),
    ] {
        let before = inner.headers().clone();
        let response = compressed(ALL, inner).await;
        assert_eq!(*response.headers(), before);
    }
}

#[tokio::test]
async fn what_is_short_stays_as_it_is_and_says_what_it_depends_on() {
    for (length, expected) in [(511, ""), (512, "zstd")] {
        let response = compressed(ALL, response(200, TEXT, page(length))).await;
        assert_eq!(coding(&response), expected);
        assert!(response.headers().contains_key(header::VARY));
    }
}

#[tokio::test]
async fn what_would_not_become_smaller_stays_as_it_is() {
    let mut state = 1_u32;
    let noise = (0..2000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let noise: Vec<u8> = noise.collect();
    let response = compressed(ALL, response(200, TEXT, noise.clone())).await;

    assert_eq!(coding(&response), "");
    assert_eq!(content(response).await, noise);
}

#[tokio::test]
async fn the_head_tells_what_was_done() {
    let headers = [
        ("content-type", "text/html"),
        ("content-length", "2000"),
        ("accept-ranges", "bytes"),
        ("etag", "\"a\""),
        ("vary", "cookie"),
    ];
    let response = compressed("gzip", response(200, &headers, page(2000))).await;

    assert_eq!(response.headers()[header::ETAG], "W/\"a\"");
    let vary: Vec<_> = response.headers().get_all(header::VARY).iter().collect();
    assert_eq!(vary, ["cookie", "accept-encoding"]);
    assert!(!response.headers().contains_key(header::CONTENT_LENGTH));
    assert!(!response.headers().contains_key(header::ACCEPT_RANGES));
    assert!(response.body().length().is_some_and(|length| length < 1000));
}

#[tokio::test]
async fn a_strong_entity_tag_stays_where_the_bytes_do() {
    let headers = [("content-type", "text/html"), ("etag", "\"a\"")];

    for (accept, body) in [("", page(2000)), (ALL, page(100))] {
        assert_eq!(compressed(accept, response(200, &headers, body)).await.headers()[header::ETAG], "\"a\"");
    }
}

#[tokio::test]
async fn the_application_is_asked_with_the_tag_that_it_gave() {
    let asked = [("if-none-match", "W/\"a\""), ("if-match", "W/\"a\""), ("if-range", "W/\"a\"")];
    let inner = response(304, &[("etag", "\"a\"")], Body::empty());
    let (response, seen) = through(json!({}), get(&asked), inner).await;

    assert_eq!(seen.headers()[header::IF_NONE_MATCH], "\"a\"");
    assert_eq!(seen.headers()[header::IF_MATCH], "W/\"a\"");
    assert_eq!(seen.headers()[header::IF_RANGE], "W/\"a\"");
    assert_eq!(response.headers()[header::ETAG], "W/\"a\"");
}

#[tokio::test]
async fn a_head_request_gets_the_head_that_get_would() {
    let sized = [("content-type", "text/html"), ("content-length", "2000"), ("etag", "\"a\"")];
    let short = [("content-type", "text/html"), ("content-length", "20")];
    for (headers, body, expected) in [
        (&sized[..], Body::empty(), "br"),
        (&sized[..], page(2000).into(), "br"),
        (&sized[..1], page(2000).into(), "br"),
        (&sized[..1], Body::empty(), "br"),
        (&short[..], Body::empty(), ""),
        (&sized[..1], page(20).into(), ""),
    ] {
        let mut request = get(&[("accept-encoding", "br")]);
        *request.method_mut() = Method::HEAD;
        let (response, _) = through(json!({}), request, response(200, headers, body)).await;
        assert_eq!(coding(&response), expected);
        assert_eq!(
            response.headers().contains_key(header::CONTENT_LENGTH),
            headers.len() > 1 && expected.is_empty()
        );
        assert!(expected.is_empty() || response.body().length() == Some(0));
    }
}

#[tokio::test]
async fn each_block_leaves_before_the_next_is_asked_for() {
    for accept in ["zstd", "br", "gzip"] {
        let events = ["data: 1\n\n", "data: 2\n\n", "", "data: 3\n\n"];
        let (body, asked) = blocks(events.iter().map(|event| Ok(Bytes::from(*event))).collect());
        let mut response =
            compressed(accept, response(200, &[("content-type", "text/event-stream")], body)).await;
        let coding = Coding::named(coding(&response)).expect("it is compressed");
        let (mut arrived, mut sent) = (Vec::new(), String::new());
        for (number, event) in events.iter().enumerate() {
            arrived.extend(response.body_mut().next_block().await.expect("a block").expect("it is good"));
            sent.push_str(event);
            assert_eq!(asked.load(Ordering::Relaxed), number + 1);
            assert_eq!(String::from_utf8_lossy(&decoded(coding, &arrived)), sent);
        }
        while let Some(block) = response.body_mut().next_block().await {
            arrived.extend(block.expect("it is good"));
        }
        assert_eq!(decoded(coding, &arrived), sent.as_bytes());
    }
}

#[tokio::test]
async fn a_body_that_fails_does_not_end_well() {
    for length in [10, 100_000] {
        let (body, _) = blocks(vec![Ok(page(length)), Err(BodyError::TimedOut), Ok(page(1))]);
        let mut body = compressed("gzip", response(200, TEXT, body)).await.into_body();
        let mut arrived = Vec::new();
        let end = loop {
            match body.next_block().await {
                Some(Ok(block)) => arrived.extend(block),
                end => break end,
            }
        };
        assert!(matches!(end, Some(Err(BodyError::TimedOut))));
        assert_eq!(decoded(Coding::Gzip, &arrived), page(length));
        assert!(body.next_block().await.is_none());
    }
}

#[tokio::test]
async fn a_body_is_as_long_as_was_declared_or_fails() {
    let headers = [("content-type", "text/html"), ("content-length", "2000")];
    for (length, is_whole) in [(1000, false), (2000, true), (3000, true)] {
        let (body, _) = blocks(vec![Ok(page(length))]);
        let response = compressed("gzip", response(200, &headers, body)).await;
        let body = response.into_body().into_bytes(u64::MAX).await;
        assert_eq!(body.is_ok(), is_whole, "{length}");
        if let Ok(body) = body {
            assert_eq!(decoded(Coding::Gzip, &body), page(2000));
        }
    }
}

#[tokio::test]
async fn large_bodies_and_blocks_arrive_whole() {
    let (whole, size) = (page(3_000_000), "3000000");
    for accept in ["zstd", "br", "gzip"] {
        let (streamed, _) = blocks(vec![Ok(whole.slice(..700_000)), Ok(whole.slice(700_000..))]);
        for body in [whole.clone().into(), whole.slice(..900_000).into(), streamed] {
            let length = body.length().unwrap_or(3_000_000);
            let response = compressed(accept, response(200, TEXT, body)).await;
            assert_eq!(coding(&response), accept);
            assert!(
                content(response).await[..] == whole[..usize::try_from(length).expect("small")],
                "{size}"
            );
        }
    }
}

#[tokio::test]
async fn a_file_is_compressed_from_its_place() {
    for length in [20_000, 2_000_000] {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"before").and_then(|()| file.write_all(&page(length))).expect("room on the disk");
        let range = FileRange { file: Arc::new(file), offset: 6, length: length as u64 };
        let response = compressed(ALL, response(200, TEXT, Body::file(range))).await;
        assert_eq!(coding(&response), "zstd");
        assert!(content(response).await == page(length), "{length}");
    }
}

#[tokio::test]
async fn what_waits_for_the_end_of_the_body_learns_of_it() {
    let (ended, ends) = std::sync::mpsc::channel();
    for body in [Body::from(page(2000)), blocks(vec![Ok(page(2000))]).0, blocks(vec![Ok(page(2000))]).0] {
        let (mut body, ended) = (body, ended.clone());
        body.on_end(move |end| ended.send(end).expect("the test waits"));
        let response = compressed("gzip", response(200, TEXT, body)).await;
        if ends.try_recv() == Ok(End::Complete) {
            continue;
        }
        drop(response);
        assert_eq!(ends.try_recv(), Ok(End::Dropped));
    }
}

#[test]
fn wrong_options_are_refused_at_start_up() {
    for (options, expected) in [
        (json!({"encodings": []}), "compress: encodings: there is none; give one or more of zstd, br, gzip"),
        (json!({"encodings": ["br", "br"]}), "compress: encodings: br is there twice; name it once"),
        (
            json!({"encodings": ["deflate"]}),
            r#"compress: encodings[0]: "deflate" does not fit; give "zstd" or "br" or "gzip""#,
        ),
        (json!({"zstd_level": 20}), "compress: zstd_level: 20 does not fit; give an integer from 1 to 19"),
        (json!({"gzip_level": 0}), "compress: gzip_level: 0 does not fit; give an integer from 1 to 9"),
        (json!({"br_level": -1}), "compress: br_level: -1 does not fit; give an integer from 0 to 11"),
        (
            json!({"types": ["text"]}),
            r#"compress: types: "text" is no media type; write one such as text/html, "#,
        ),
        (json!({"min_size": "big"}), r#"compress: min_size: "big" is no size; "#),
    ] {
        let refusal = refusal("compress", options);
        assert!(refusal.starts_with(expected), "{refusal}");
    }
}
