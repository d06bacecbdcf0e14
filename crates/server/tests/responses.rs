//! Responses: framed as their bodies are, sent as their blocks come, broken off when they break off.

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use common::{Running, blocks, milliseconds, serve, soon};
use http::header::CONTENT_LENGTH;
use onion::{Body, BodyError, End, FileRange, Request, Response};
use server::Config;
use tokio::sync::{mpsc, oneshot};

/// Serves one response with `body`, then responses without one.
fn serve_once(config: &Config, length: Option<u64>, body: Body) -> Running {
    let body = Mutex::new(Some(body));
    serve(config, move |_: Request| {
        let mut response = Response::default();
        if let Some(body) = body.lock().expect("no panic").take() {
            *response.body_mut() = body;
            if let Some(length) = length {
                response.headers_mut().insert(CONTENT_LENGTH, length.into());
            }
        }
        async { response }
    })
}

type Block = Result<Bytes, BodyError>;

#[expect(clippy::unnecessary_wraps, reason = "what is sent to the server's side of a body")]
fn block(text: &'static str) -> Block {
    Ok(Bytes::from_static(text.as_bytes()))
}

fn broken() -> Block {
    Err(BodyError::Producer("it broke".into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_go_out_as_they_come() {
    let (sender, body) = blocks();
    let running = serve_once(&Config::default(), None, body);
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // The head does not wait for the first block.
    assert_eq!(client.head().await.field("Transfer-Encoding"), Some("chunked"));
    for text in ["one", "two", "three"] {
        sender.send(block(text)).await.expect("the server takes blocks");
        assert_eq!(client.chunk().await, Some(text.into()));
    }
    drop(sender);
    assert_eq!(client.chunk().await, None);
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_block_is_not_the_end() {
    let (sender, body) = blocks();
    let running = serve_once(&Config::default(), None, body);
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await;
    for text in ["", "one", "", "two"] {
        sender.send(block(text)).await.expect("the server takes blocks");
    }
    drop(sender);
    assert_eq!(client.chunk().await, Some("one".into()));
    assert_eq!(client.chunk().await, Some("two".into()));
    assert_eq!(client.chunk().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_gets_blocks_without_chunks_until_the_close() {
    let (sender, body) = blocks();
    let running = serve_once(&Config::default(), None, body);
    let mut client = running.client().await;
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let head = client.head().await;
    assert_eq!((head.field("Transfer-Encoding"), head.field("Connection")), (None, None));
    sender.send(block("one")).await.expect("the server takes blocks");
    sender.send(block("two")).await.expect("the server takes blocks");
    drop(sender);
    assert_eq!(client.rest().await.expect("a close"), b"onetwo");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_never_looks_complete() {
    for (request, length) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", None),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(100)),
        ("GET / HTTP/1.0\r\n\r\n", None),
    ] {
        let (sender, body) = blocks();
        let running = serve_once(&Config::default(), length, body);
        let mut client = running.client().await;
        client.send(request).await;
        client.head().await;
        sender.send(block("one")).await.expect("the server takes blocks");
        assert!(client.until(b"one").await.is_some());
        sender.send(broken()).await.expect("the server takes blocks");
        // A reset, or an end that comes too early for the framing: without one, only a reset tells.
        let is_whole = match client.rest().await {
            Ok(rest) if length.is_none() => request.contains("HTTP/1.0") || rest.ends_with(b"0\r\n\r\n"),
            Ok(_) | Err(_) => false,
        };
        assert!(!is_whole, "a clean end: {request}{length:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_bytes_break_the_connection_off() {
    let (sender, streamed) = blocks();
    tokio::spawn(async move { sender.send(block("short")).await });
    for body in ["short".into(), streamed] {
        let running = serve_once(&Config::default(), Some(10), body);
        let mut client = running.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.head().await.field("Content-Length"), Some("10"));
        assert_eq!(client.take(10).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_bytes_are_cut() {
    let (sender, streamed) = blocks();
    tokio::spawn(async move {
        for text in ["12", "34", "56", "78"] {
            if sender.send(block(text)).await.is_err() {
                break;
            }
        }
    });
    for body in ["12345678".into(), streamed] {
        let running = serve_once(&Config::default(), Some(5), body);
        let mut client = running.client().await;
        assert_eq!(client.get("/").await.text(), "12345");
        assert_eq!(client.get("/").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_204_and_304_drop_the_body_and_keep_the_connection() {
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 404)] {
        let running = serve(&Config::default(), move |_: Request| async move {
            let mut response = Response::new("a body".into());
            *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
            response
        });
        let mut client = running.client().await;
        for _ in 0..2 {
            client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let head = client.head().await;
            assert_eq!((head.status, head.field("Transfer-Encoding")), (status, None));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_from_its_offset() {
    let mut file = tempfile::tempfile().expect("a place for files");
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    file.write_all(&content).expect("a disk with room");
    let file = Arc::new(file);
    for (offset, length) in [(0, 3_000_000), (1, 2_999_999), (2_999_990, 10), (5, 0)] {
        let range = FileRange { file: Arc::clone(&file), offset, length };
        let running = serve_once(&Config::default(), None, Body::file(range));
        let mut client = running.client().await;
        let answer = client.get("/").await;
        let (start, end) = (usize::try_from(offset), usize::try_from(offset + length));
        assert!(answer.body == content[start.expect("small")..end.expect("small")], "{offset}, {length}");
        assert_eq!(client.get("/").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_shorter_than_it_was_breaks_the_connection_off() {
    let mut file = tempfile::tempfile().expect("a place for files");
    file.write_all(b"12345").expect("a disk with room");
    let range = FileRange { file: Arc::new(file), offset: 0, length: 10 };
    let running = serve_once(&Config::default(), None, Body::file(range));
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await;
    assert_eq!(client.take(10).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_body_is_told_once_and_truly() {
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", End::Complete),
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", End::Dropped),
    ] {
        let (told, mut ends) = mpsc::unbounded_channel();
        let mut body = Body::from("a body");
        body.on_end(move |end| told.send(end).expect("the test waits"));
        let running = serve_once(&Config::default(), None, body);
        let mut client = running.client().await;
        client.send(request).await;
        client.head().await;
        assert_eq!(soon(ends.recv()).await, Some(expected));
        assert_eq!(soon(ends.recv()).await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_ends_the_body() {
    let (told, ended) = oneshot::channel();
    let (sender, mut body) = blocks();
    body.on_end(move |end| told.send(end).expect("the test waits"));
    let running = serve_once(&Config::default(), None, body);
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await;
    drop(client);
    let produce = async { while sender.send(block("more")).await.is_ok() {} };
    soon(produce).await;
    assert_eq!(soon(ended).await, Ok(End::Dropped));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_given_up() {
    let (sender, body) = blocks();
    let running = serve_once(&Config { write_timeout: milliseconds(200), ..Config::default() }, None, body);
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let large = Bytes::from(vec![b'x'; 1 << 20]);
    let produce = async { while sender.send(Ok(large.clone())).await.is_ok() {} };
    soon(produce).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_holds_the_producer_back() {
    let (sender, body) = blocks();
    let running = serve_once(&Config::default(), None, body);
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let large = Bytes::from(vec![b'x'; 1 << 20]);
    let mut produced = 0;
    while tokio::time::timeout(Duration::from_millis(300), sender.send(Ok(large.clone()))).await.is_ok() {
        produced += 1;
        assert!(produced < 64, "64 MiB were taken without a reader");
    }
    drop(sender);
    client.head().await;
    let mut taken = 0;
    while let Some(chunk) = client.chunk().await {
        taken += chunk.len();
    }
    assert_eq!(taken, produced << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_http_has_no_form_for_is_a_500() {
    let running = serve(&Config::default(), |_: Request| async {
        let mut response = Response::new("body".into());
        response.headers_mut().insert(CONTENT_LENGTH, http::HeaderValue::from_static("four"));
        response
    });
    let mut client = running.client().await;
    let answer = client.get("/").await;
    assert_eq!((answer.status, answer.field("Connection")), (500, Some("close")));
    assert!(client.is_ended().await);
}
