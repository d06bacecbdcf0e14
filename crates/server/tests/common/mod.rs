//! A server on a free port with a handler of the test, and a client that shows every byte.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use onion::{Body, BodyError, Handler, Request, Response};
use server::{AccessLog, Bind, Config, Server, StopHandle};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long to wait for what comes at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A server that serves.
pub(crate) struct Running {
    pub(crate) port: u16,
    pub(crate) stop: StopHandle,
    serving: JoinHandle<io::Result<bool>>,
}

impl Running {
    /// Waits for the end. Tells whether all requests were answered.
    pub(crate) async fn ended(self) -> bool {
        soon(self.serving).await.expect("no panic").expect("no error of the system")
    }

    pub(crate) async fn client(&self) -> Client {
        let stream = soon(TcpStream::connect(("127.0.0.1", self.port))).await.expect("the server listens");
        stream.set_nodelay(true).expect("the connection is open");
        Client { stream, buffer: Vec::new() }
    }
}

pub(crate) fn milliseconds(milliseconds: u64) -> onion::Span {
    onion::Span(Duration::from_millis(milliseconds))
}

/// Serves with `answer` as the handler.
pub(crate) fn serve<F, A>(config: &Config, answer: F) -> Running
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    serve_logging(config, None, answer)
}

/// The same, with an access log.
pub(crate) fn serve_logging<F, A>(config: &Config, log: Option<Arc<AccessLog>>, answer: F) -> Running
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    let bind = vec!["127.0.0.1:0".parse().expect("a place")];
    let server = Server::bind(Config { bind, ..config.clone() }).expect("a free port");
    let server = server.logging(log);
    let Some(Bind::Tcp(_, port)) = server.bound().into_iter().next() else { panic!("one TCP port") };
    let stop = server.stop_handle();
    let serving = tokio::spawn(server.serve(Arc::new(Answering(answer))));
    Running { port, stop, serving }
}

struct Answering<F>(F);

impl<F, A> Handler for Answering<F>
where
    F: Fn(Request) -> A + Send + Sync + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    fn call(&self, request: Request) -> onion::Answer<'_> {
        Box::pin(async move { (self.0)(request).await })
    }
}

/// Answers with the method, the path and the body of the request.
pub(crate) async fn echo(request: Request) -> Response {
    let start = format!("{} {} ", request.method(), request.uri().path());
    match request.into_body().into_bytes(u64::MAX).await {
        Ok(body) => Response::new([start.as_bytes(), &body].concat().into()),
        Err(error) => onion::plain(error.status(), "the body failed"),
    }
}

/// A body whose blocks a test sends one by one.
pub(crate) struct Blocks(pub(crate) mpsc::Receiver<Result<Bytes, BodyError>>);

impl http_body::Body for Blocks {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.0.poll_recv(context).map(|block| block.map(|block| block.map(Frame::data)))
    }
}

/// A body, and the end to send its blocks to.
pub(crate) fn blocks() -> (mpsc::Sender<Result<Bytes, BodyError>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Body::stream(Blocks(receiver)))
}

/// A connection of a client.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response: its status, its head as it came, and its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a field that comes at most once.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = values.next();
        assert_eq!(values.next(), None, "{}", self.head);
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the tests' bodies are text")
    }
}

impl Client {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon(self.stream.write_all(bytes.as_ref())).await.expect("the server reads");
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        self.answer().await
    }

    /// A whole response with a body that has a length or comes in chunks.
    pub(crate) async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        if answer.status < 200 || matches!(answer.status, 204 | 304) {
            return answer;
        }
        if answer.field("Transfer-Encoding").is_some() {
            while let Some(chunk) = self.chunk().await {
                answer.body.extend(chunk);
            }
        } else {
            let length = answer.field("Content-Length").expect("the tests' bodies have an end");
            answer.body = self.take(length.parse().expect("a number")).await.expect("the whole body");
        }
        answer
    }

    /// A response head.
    pub(crate) async fn head(&mut self) -> Answer {
        let head = String::from_utf8(self.until(b"\r\n\r\n").await.expect("a head")).expect("ASCII");
        let status = head.get(9..12).and_then(|status| status.parse().ok()).expect("a status line");
        Answer { status, head, body: Vec::new() }
    }

    /// The next chunk's data; `None` for the last chunk.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.until(b"\r\n").await.expect("a size line");
        let size = std::str::from_utf8(&line[..line.len() - 2]).expect("ASCII");
        let size = usize::from_str_radix(size, 16).expect("a size");
        let mut data = self.take(size + 2).await.expect("the chunk's data");
        assert!(data.ends_with(b"\r\n"));
        data.truncate(size);
        (size > 0).then_some(data)
    }

    /// So many bytes; `None` if the connection ends before.
    pub(crate) async fn take(&mut self, size: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < size {
            self.receive().await.ok().filter(|read| *read > 0)?;
        }
        let rest = self.buffer.split_off(size);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    /// Bytes up to and including `end`; `None` if the connection ends before.
    pub(crate) async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(found) = self.buffer.windows(end.len()).position(|window| window == end) {
                return self.take(found + end.len()).await;
            }
            self.receive().await.ok().filter(|read| *read > 0)?;
        }
    }

    /// All there is until the server closes; the error if it resets.
    pub(crate) async fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.receive().await? > 0 {}
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Waits for the end of the connection, by a close or a reset, with nothing before it.
    pub(crate) async fn is_ended(&mut self) -> bool {
        self.rest().await.map_or(true, |rest| rest.is_empty())
    }

    async fn receive(&mut self) -> io::Result<usize> {
        soon(self.stream.read_buf(&mut self.buffer)).await
    }
}

/// Waits for what comes at once.
#[track_caller]
pub(crate) fn soon<F: IntoFuture>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    let waiting = timeout(PATIENCE, future);
    async move { waiting.await.unwrap_or_else(|_| panic!("waited in vain at {caller}")) }
}
