//! The stop: graceful as long as it may be, then at once.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{blocks, echo, milliseconds, serve};
use onion::{Request, Response, Span};
use server::Config;
use tokio::sync::{Notify, Semaphore};

/// A handler whose calls begin with a sign, and end when they may.
struct Gate {
    begun: Semaphore,
    go: Notify,
}

impl Gate {
    fn new() -> Arc<Self> {
        Arc::new(Gate { begun: Semaphore::new(0), go: Notify::new() })
    }

    async fn pass(self: Arc<Self>, request: Request) -> Response {
        self.begun.add_permits(1);
        self.go.notified().await;
        echo(request).await
    }

    async fn has_begun(&self) {
        common::soon(self.begun.acquire()).await.expect("the semaphore is never closed").forget();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_server_stops_at_once_and_closes_idle_connections() {
    let running = serve(&Config::default(), echo);
    let mut used = running.client().await;
    used.get("/").await;
    let mut silent = running.client().await;
    running.client().await.get("/").await;

    running.stop.begin();

    assert!(used.is_ended().await);
    assert!(silent.is_ended().await);
    assert!(running.ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_answered_and_its_connection_closed() {
    let gate = Gate::new();
    let handler = Arc::clone(&gate);
    let running = serve(&Config::default(), move |request: Request| Arc::clone(&handler).pass(request));
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    gate.has_begun().await;

    running.stop.begin();
    gate.go.notify_one();

    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
    assert!(client.is_ended().await);
    drop(client);
    assert!(running.ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_flight_comes_to_its_end() {
    let (sender, body) = blocks();
    let body = std::sync::Mutex::new(Some(body));
    let running = serve(&Config::default(), move |_: Request| {
        let body = body.lock().expect("no panic").take().expect("one request");
        async { Response::new(body) }
    });
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.head().await;

    running.stop.begin();
    sender.send(Ok("the end".into())).await.expect("the server takes blocks");
    drop(sender);

    assert_eq!(client.chunk().await, Some("the end".into()));
    assert_eq!(client.chunk().await, None);
    drop(client);
    assert!(running.ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlives_the_graceful_timeout_is_cut_and_told() {
    let gate = Gate::new();
    let handler = Arc::clone(&gate);
    let config = Config { graceful_timeout: milliseconds(200), ..Config::default() };
    let running = serve(&config, move |request: Request| Arc::clone(&handler).pass(request));
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    gate.has_begun().await;

    let since = Instant::now();
    running.stop.begin();

    assert!(!running.ended().await);
    assert!(since.elapsed() >= Duration::from_millis(150), "{:?}", since.elapsed());
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    assert!(client.is_ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_does_not_wait_and_is_told() {
    let gate = Gate::new();
    let handler = Arc::clone(&gate);
    let config = Config { graceful_timeout: Span::seconds(60), ..Config::default() };
    let running = serve(&config, move |request: Request| Arc::clone(&handler).pass(request));
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    gate.has_begun().await;

    running.stop.begin();
    running.stop.abort();

    assert!(client.is_ended().await);
    assert!(!running.ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipelined_request_behind_the_one_in_flight_is_not_begun() {
    let gate = Gate::new();
    let handler = Arc::clone(&gate);
    let running = serve(&Config::default(), move |request: Request| Arc::clone(&handler).pass(request));
    let mut client = running.client().await;
    client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    gate.has_begun().await;

    running.stop.begin();
    gate.go.notify_one();

    assert_eq!(client.answer().await.text(), "GET /1 ");
    assert!(client.is_ended().await);
    drop(client);
    assert!(running.ended().await);
    assert_eq!(gate.begun.available_permits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_accepted_once_the_server_has_ended() {
    let running = serve(&Config::default(), echo);
    let port = running.port;
    running.stop.begin();
    assert!(running.ended().await);
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_begins_twice_is_one() {
    let running = serve(&Config::default(), echo);
    running.stop.begin();
    running.stop.begin();
    assert!(running.stop.is_stopping());
    assert!(running.ended().await);
}
