//! How many connections there may be, and who leaves when there are more.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Client, Running, echo, serve, soon};
use onion::{Request, Response};
use server::{Config, Connections};
use tokio::io::AsyncReadExt;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

fn most(connections: u32) -> Config {
    Config { connections: Connections::Number(connections), ..Config::default() }
}

/// A server whose requests to `/hold` wait for a permit, and tell when they do.
fn holding(connections: u32) -> (Running, Arc<Semaphore>, mpsc::UnboundedReceiver<()>) {
    let gate = Arc::new(Semaphore::new(0));
    let (tell, told) = mpsc::unbounded_channel();
    let opened = Arc::clone(&gate);
    let running = serve(&most(connections), move |request: Request| {
        let (gate, tell) = (Arc::clone(&opened), tell.clone());
        async move {
            if request.uri().path() == "/hold" {
                tell.send(()).expect("the test listens");
                gate.acquire().await.expect("it is never closed").forget();
            }
            Response::new("done".into())
        }
    });
    (running, gate, told)
}

async fn hold(running: &Running, told: &mut mpsc::UnboundedReceiver<()>) -> Client {
    let mut client = running.client().await;
    client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await;
    soon(told.recv()).await.expect("the handler runs");
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_that_was_idle_the_longest_makes_room() {
    let running = serve(&most(3), echo);
    let (mut first, mut second, mut third) =
        (running.client().await, running.client().await, running.client().await);
    for client in [&mut first, &mut second, &mut third] {
        assert_eq!(client.get("/").await.status, 200);
        // A connection is idle a little later than its client has the answer.
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(first.get("/again").await.status, 200);

    let mut fourth = running.client().await;

    assert_eq!(fourth.get("/").await.status, 200);
    assert!(second.is_ended().await);
    for client in [&mut first, &mut third, &mut fourth] {
        let answer = client.get("/kept").await;
        assert_eq!((answer.status, answer.field("Connection")), (200, None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_none_idle_a_further_connection_waits_for_the_first_that_is_done() {
    let (running, gate, mut told) = holding(2);
    let mut first = hold(&running, &mut told).await;
    let mut second = hold(&running, &mut told).await;
    let mut third = running.client().await;
    third.send("GET /third HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut byte = [0];
    let early = timeout(Duration::from_millis(300), third.stream.read(&mut byte)).await;
    assert!(early.is_err(), "{early:?}");

    gate.add_permits(1);
    // Said by the answer already, so that nothing is sent in vain.
    assert_eq!(first.answer().await.field("Connection"), Some("close"));
    drop(first);
    assert_eq!(third.answer().await.text(), "done");

    gate.add_permits(1);
    assert_eq!(second.answer().await.field("Connection"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_waits_connections_are_kept_though_every_place_is_taken() {
    let (running, gate, mut told) = holding(2);
    let held = [hold(&running, &mut told).await, hold(&running, &mut told).await];
    gate.add_permits(2);
    for mut client in held {
        assert_eq!(client.answer().await.field("Connection"), None);
        assert_eq!(client.get("/").await.field("Connection"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_only_half_a_head_counts_as_idle_after_a_moment() {
    let running = serve(&most(2), echo);
    let mut silent = running.client().await;
    let mut slow = running.client().await;
    slow.send("GET / HTTP/1.1\r\nHo").await;
    let since = Instant::now();

    let mut third = running.client().await;
    assert_eq!(third.get("/").await.status, 200);
    assert!(since.elapsed() >= Duration::from_millis(500), "{:?}", since.elapsed());
    assert!(silent.is_ended().await);

    let (mut fourth, mut fifth) = (running.client().await, running.client().await);
    assert_eq!(fourth.get("/").await.status, 200);
    assert_eq!(fifth.get("/").await.status, 200);
    let refused = slow.answer().await;
    assert_eq!((refused.status, refused.field("Connection")), (408, Some("close")));
}

#[tokio::test(flavor = "multi_thread")]
async fn ever_so_many_clients_are_all_answered_in_few_places() {
    let running = Arc::new(serve(&most(8), echo));
    let mut clients = JoinSet::new();
    for number in 0..64 {
        let running = Arc::clone(&running);
        clients.spawn(async move {
            for round in 0..20 {
                let path = format!("/{number}/{round}");
                assert_eq!(running.client().await.get(&path).await.text(), format!("GET {path} "));
            }
        });
    }
    while let Some(client) = soon(clients.join_next()).await {
        client.expect("every request is answered");
    }
}
