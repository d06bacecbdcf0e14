//! A connection's requests one after the other, and when it ends.

mod common;

use std::time::{Duration, Instant};

use common::{Client, echo, milliseconds, serve};
use onion::Size;
use server::Config;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_many_requests() {
    let running = serve(&Config::default(), echo);
    let mut client = running.client().await;
    for number in 0..20 {
        let answer = client.get(&format!("/{number}")).await;
        assert_eq!((answer.status, answer.text()), (200, format!("GET /{number} ").as_str()));
        assert_eq!(answer.field("Connection"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_their_order() {
    let running = serve(&Config::default(), echo);
    let mut client = running.client().await;
    let post = "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    let chunked = "PUT /put HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    let get = "GET /get HTTP/1.1\r\nHost: a\r\n\r\n";

    client.send([post, get, chunked, get].concat()).await;

    for expected in ["POST /post body", "GET /get ", "PUT /put body", "GET /get "] {
        assert_eq!(client.answer().await.text(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_come_byte_by_byte() {
    let running = serve(&Config::default(), echo);
    let mut client = running.client().await;
    for byte in b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n" {
        client.send([*byte]).await;
    }
    assert_eq!(client.answer().await.text(), "POST / ab");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_that_is_asked_for_is_granted() {
    let running = serve(&Config::default(), echo);
    let mut client = running.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.field("Connection"), Some("close"));
    assert!(client.is_ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_0_is_kept_only_if_it_asks() {
    let running = serve(&Config::default(), echo);
    let mut kept = running.client().await;
    for _ in 0..3 {
        kept.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        assert_eq!(kept.answer().await.field("Connection"), Some("keep-alive"));
    }
    let mut closed = running.client().await;
    closed.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(closed.answer().await.status, 200);
    assert!(closed.is_ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_behind_a_refused_request_is_served() {
    let running = serve(&Config::default(), echo);
    let mut client = running.client().await;
    let refused = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx";
    client.send([refused, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("Connection")), (400, Some("close")));
    assert!(client.is_ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_without_a_word() {
    let running = serve(&Config { keep_alive: milliseconds(200), ..Config::default() }, echo);
    let mut client = running.client().await;
    client.get("/").await;
    ends_within(&mut client, 150..3000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_nothing_is_closed_without_a_word() {
    let running = serve(&Config { header_timeout: milliseconds(200), ..Config::default() }, echo);
    let mut client = running.client().await;
    ends_within(&mut client, 150..3000).await;
}

async fn ends_within(client: &mut Client, milliseconds: std::ops::Range<u64>) {
    let since = Instant::now();
    assert!(client.is_ended().await);
    let lasted = since.elapsed();
    assert!(lasted >= Duration::from_millis(milliseconds.start), "{lasted:?}");
    assert!(lasted < Duration::from_millis(milliseconds.end), "{lasted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_arrive_is_answered_408() {
    let running = serve(&Config { header_timeout: milliseconds(200), ..Config::default() }, echo);
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\nHost").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.field("Connection")), (408, Some("close")));
    assert!(client.is_ended().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_over_the_limits_are_answered_so() {
    let limits =
        Config { max_request_line: Size(100), max_head: Size(1000), max_headers: 5, ..Config::default() };
    let running = serve(&limits, echo);
    let line = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(100));
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(1000));
    let fields = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(5));
    for (request, status) in [(line, 414), (head, 431), (fields, 431)] {
        let mut client = running.client().await;
        client.send(request).await;
        assert_eq!(client.answer().await.status, status);
        assert!(client.is_ended().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_half_closes_gets_its_answer() {
    use tokio::io::AsyncWriteExt;

    let running = serve(&Config::default(), echo);
    let mut client = running.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.stream.shutdown().await.expect("the connection is open");
    assert_eq!(client.answer().await.status, 200);
    assert!(client.is_ended().await);
}
