//! Where a server listens, and what a request knows of its connection.

mod common;

use std::sync::Arc;

use common::{echo, serve, soon};
use onion::{Answer, Handler, Request, RequestExt, Response};
use server::{Bind, Config, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

struct Echo;

impl Handler for Echo {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(async move { echo(request).await })
    }
}

fn bind(places: &[&str]) -> Result<Server, server::BindError> {
    let bind = places.iter().map(|place| place.parse().expect("a place")).collect();
    Server::bind(Config { bind, ..Config::default() })
}

async fn exchange(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) -> String {
    let request = b"GET /place HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    soon(stream.write_all(request)).await.expect("the server reads");
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.expect("text");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn several_places_are_served_at_once() {
    let directory = tempfile::tempdir().expect("a place for files");
    let path = directory.path().join("site.sock");
    let server = bind(&["127.0.0.1:0", "[::1]:0", &format!("unix:{}", path.display())]).expect("free places");
    let bound = server.bound();
    let stop = server.stop_handle();
    let serving = tokio::spawn(server.serve(Arc::new(Echo)));

    assert_eq!(bound.len(), 3);
    for place in bound {
        let answer = match place {
            Bind::Tcp(host, port) | Bind::Https(host, port) | Bind::Redirect(host, port) => {
                assert_ne!(port, 0);
                exchange(soon(TcpStream::connect((host, port))).await.expect("it listens")).await
            }
            Bind::Unix(path) => exchange(soon(UnixStream::connect(path)).await.expect("it listens")).await,
            Bind::Handed(..) => unreachable!("nothing was handed over"),
        };
        assert!(answer.ends_with("GET /place "), "{answer}");
    }
    stop.begin();
    assert!(soon(serving).await.expect("no panic").expect("no error of the system"));
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_a_server_that_never_served_is_removed() {
    let directory = tempfile::tempdir().expect("a place for files");
    let path = directory.path().join("site.sock");
    let server = bind(&[&format!("unix:{}", path.display())]).expect("a free place");
    assert!(path.exists());
    drop(server);
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
    let directory = tempfile::tempdir().expect("a place for files");
    let path = directory.path().join("site.sock");
    let place = format!("unix:{}", path.display());
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a free place"));
    assert!(path.exists());

    let first = bind(&[&place]).expect("nobody listens there");
    let second = bind(&[&place]).err().expect("somebody listens there");

    assert_eq!(second.source.kind(), std::io::ErrorKind::AddrInUse);
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_place_that_is_taken_gives_the_others_back() {
    let taken = bind(&["127.0.0.1:0"]).expect("a free place");
    let free = bind(&["127.0.0.1:0"]).expect("a free place");
    let (taken_place, free_place) = (taken.bound()[0].to_string(), free.bound()[0].to_string());
    drop(free);

    let refused = bind(&[&free_place, &taken_place]).err().expect("the second is taken");

    assert_eq!(refused.bind.to_string(), taken_place);
    bind(&[&free_place]).expect("given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_knows_both_ends_and_its_target() {
    let (told, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let running = serve(&Config::default(), move |request: Request| {
        let context = request.context().expect("the server made it");
        let (peer, local) = (context.connection.peer, context.connection.local);
        told.send((peer, local, context.target.clone())).expect("the test waits");
        async { Response::default() }
    });
    let mut client = running.client().await;
    client.send("GET http://a/path?query HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.answer().await;

    let (peer, local, target) = soon(seen.recv()).await.expect("one request");
    let own = client.stream.local_addr().expect("the connection is open");
    assert_eq!((peer.address, peer.port), (Some(own.ip()), Some(own.port())));
    assert_eq!((local.address, local.port), (Some(own.ip()), Some(running.port)));
    assert_eq!(target, "http://a/path?query");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_may_be_served_alone() {
    let server = bind(&["127.0.0.1:0"]).expect("a free place");
    let Bind::Tcp(host, port) = server.bound().remove(0) else { panic!("a TCP port") };
    for _ in 0..2 {
        let stream = soon(TcpStream::connect((host.as_str(), port))).await.expect("it listens");
        let client = tokio::spawn(exchange(stream));
        soon(server.serve_one(Arc::new(Echo))).await.expect("no error of the system");
        let answer = soon(client).await.expect("no panic");
        assert!(answer.contains("Connection: close\r\n") && answer.ends_with("GET /place "), "{answer}");
    }
}
