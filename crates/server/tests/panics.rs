//! A panic in a handler costs the request, and nothing else: 500, a closed connection, a server that goes on.

mod common;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use common::{Running, serve};
use http_body::Frame;
use onion::{Body, BodyError, Request, Response};
use server::Config;

struct Fragile;

impl http_body::Body for Fragile {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        panic!("in the body")
    }
}

/// `/now` panics when it is called, `/later` when it is waited for, `/body` while its body is sent.
fn fragile() -> Running {
    serve(&Config::default(), |request: Request| {
        let path = request.uri().path().to_owned();
        assert!(path != "/now", "at once");
        async move {
            tokio::task::yield_now().await;
            assert!(path != "/later", "later");
            if path == "/body" { Response::new(Body::stream(Fragile)) } else { Response::new("fine".into()) }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_answered_500_and_the_connection_closes() {
    let running = fragile();
    for path in ["/now", "/later"] {
        let mut client = running.client().await;
        assert_eq!(client.get("/").await.text(), "fine");
        let answer = client.get(path).await;
        assert_eq!((answer.status, answer.field("Connection")), (500, Some("close")), "{path}");
        assert_eq!(answer.text(), "Internal Server Error\n");
        assert!(client.is_ended().await);
    }
    assert_eq!(running.client().await.get("/").await.text(), "fine");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_a_body_that_was_not_read_along() {
    let running = fragile();
    for (method, path) in [("POST", "/now"), ("POST", "/later"), ("HEAD", "/now")] {
        let mut client = running.client().await;
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel")).await;
        let head = client.head().await;
        assert_eq!((head.status, head.field("Connection")), (500, Some("close")));
        let body = if method == "HEAD" { "" } else { "Internal Server Error\n" };
        assert_eq!(client.rest().await.expect("no reset"), body.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_panics_does_not_end_like_a_whole_one() {
    let running = fragile();
    let mut client = running.client().await;
    client.send("GET /body HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let rest: io::Result<Vec<u8>> = client.rest().await;
    assert!(rest.is_ok_and(|rest| !rest.ends_with(b"0\r\n\r\n")));
    assert_eq!(running.client().await.get("/").await.text(), "fine");
}
