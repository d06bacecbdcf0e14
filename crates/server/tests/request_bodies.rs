//! Request bodies: read when the handler asks, bounded, and never taken for the next request.

mod common;

use std::sync::{Arc, Mutex};

use common::{echo, milliseconds, serve, soon};
use onion::{BodyError, Request, Response, Size};
use server::Config;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

/// Answers without a look at the body.
async fn unread(_: Request) -> Response {
    Response::new("not read".into())
}

/// A handler that reads the body, and the place where it notes what came of it.
fn noting() -> (Arc<Mutex<Vec<String>>>, impl Fn(Request) -> Answering + Send + Sync + 'static) {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&notes);
    let handler = move |request: Request| -> Answering {
        let notes = Arc::clone(&notes);
        Box::pin(async move {
            let read = request.into_body().into_bytes(u64::MAX).await;
            let note = read.as_ref().map_or_else(ToString::to_string, |body| format!("{} bytes", body.len()));
            notes.lock().expect("no panic").push(note);
            onion::plain(read.map_or_else(|error| error.status(), |_| http::StatusCode::OK), "noted")
        })
    };
    (kept, handler)
}

type Answering = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_arrive_as_they_were_sent() {
    let running = serve(&Config::default(), echo);
    let mut client = running.client().await;
    let body = "0123456789abcdef".repeat(40_000);
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
    assert_eq!(client.answer().await.text(), format!("POST / {body}"));

    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for part in body.as_bytes().chunks(77_777) {
        client.send(format!("{:x}\r\n", part.len())).await;
        client.send(part).await;
        client.send("\r\n").await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.answer().await.text(), format!("POST / {body}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_goes_through_while_it_comes() {
    let running = serve(&Config::default(), async |request: Request| Response::new(request.into_body()));
    let mut client = running.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert_eq!(client.head().await.field("Transfer-Encoding"), Some("chunked"));
    for part in ["one", "two", "three"] {
        client.send(format!("{:x}\r\n{part}\r\n", part.len())).await;
        assert_eq!(client.chunk().await, Some(part.into()));
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.chunk().await, None);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_does_not_read_holds_the_client_back() {
    const MOST: usize = 64 << 20;
    let go = Arc::new(Notify::new());
    let waiting = Arc::clone(&go);
    let running = serve(&Config { max_body: Size(1 << 40), ..Config::default() }, move |request: Request| {
        let go = Arc::clone(&waiting);
        async move {
            go.notified().await;
            echo(request).await
        }
    });
    let mut client = running.client().await;
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {MOST}\r\n\r\n")).await;
    let block = vec![b'x'; 64 << 10];
    let mut sent = 0;
    while let Ok(written) =
        tokio::time::timeout(std::time::Duration::from_millis(300), client.stream.write(&block)).await
    {
        sent += written.expect("the server is there");
        assert!(sent < MOST, "all of it was taken");
    }
    go.notify_one();
    while sent < MOST {
        let next = block.len().min(MOST - sent);
        sent += soon(client.stream.write(&block[..next])).await.expect("the server reads on");
    }
    assert_eq!(client.answer().await.body.len(), "POST / ".len() + MOST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_nobody_reads_is_not_the_next_request() {
    let running = serve(&Config::default(), unread);
    let mut client = running.client().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", smuggled.len())).await;
    assert_eq!(client.answer().await.text(), "not read");
    client.send([smuggled, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"].concat()).await;
    assert_eq!(client.answer().await.field("Connection"), Some("close"));
    assert!(client.is_ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_body_that_is_too_long_to_drain_ends_the_connection() {
    let running = serve(&Config::default(), unread);
    let mut client = running.client().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 50 << 20)).await;
    let answer = client.answer().await;
    assert_eq!((answer.text(), answer.field("Connection")), ("not read", Some("close")));
    client.send(vec![b'x'; 1 << 20]).await;
    client.send(smuggled).await;
    assert!(client.is_ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn continue_is_sent_when_the_body_is_first_read() {
    let go = Arc::new(Notify::new());
    let waiting = Arc::clone(&go);
    let running = serve(&Config::default(), move |request: Request| {
        let go = Arc::clone(&waiting);
        async move {
            go.notified().await;
            echo(request).await
        }
    });
    let mut client = running.client().await;
    client.send(EXPECTING).await;
    let early = tokio::time::timeout(std::time::Duration::from_millis(100), client.stream.readable()).await;
    assert!(early.is_err(), "sent before the body was read");
    go.notify_one();
    assert_eq!(client.head().await.status, 100);
    client.send("hello").await;
    assert_eq!(client.answer().await.text(), "POST / hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_was_never_asked_for_ends_the_connection() {
    let running = serve(&Config::default(), unread);
    let mut client = running.client().await;
    client.send(EXPECTING).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
    assert!(client.is_ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_length_over_the_limit_is_told_to_the_handler_before_the_body_comes() {
    let (notes, handler) = noting();
    let running = serve(&Config { max_body: Size(4), ..Config::default() }, handler);
    let mut client = running.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("Connection")), (413, Some("close")));
    assert!(client.is_ended().await);
    assert_eq!(*notes.lock().expect("no panic"), [BodyError::TooLarge(4).to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_body_is_told_to_the_handler_and_closes() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let limits = Config { max_body: Size(4), body_timeout: milliseconds(200), ..Config::default() };
    for (body, status, note) in [
        (format!("5\r\nhello\r\n0\r\n\r\n{smuggled}"), 413, BodyError::TooLarge(4).to_string()),
        (
            format!("0x1\r\nh\r\n0\r\n\r\n{smuggled}"),
            400,
            "the body is malformed: malformed chunk size".to_owned(),
        ),
        ("2\r\nhe\r\n".to_owned(), 408, BodyError::TimedOut.to_string()),
    ] {
        let (notes, handler) = noting();
        let running = serve(&limits, handler);
        let mut client = running.client().await;
        client.send(format!("{head}{body}")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.field("Connection")), (status, Some("close")), "{body}");
        assert!(client.is_ended().await);
        assert_eq!(*notes.lock().expect("no panic"), [note]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_middle_of_a_body_is_told_to_the_handler() {
    let (told, seen) = tokio::sync::oneshot::channel();
    let told = Mutex::new(Some(told));
    let running = serve(&Config::default(), move |request: Request| {
        let told = told.lock().expect("no panic").take().expect("one request");
        async move {
            let read = request.into_body().into_bytes(u64::MAX).await;
            told.send(matches!(read, Err(BodyError::Disconnected))).expect("the test waits");
            Response::default()
        }
    });
    let mut client = running.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe").await;
    drop(client);
    assert!(soon(seen).await.expect("the handler was called"));
}
