//! The access log: a line for every request, whatever became of it.

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{PATIENCE, blocks, echo, milliseconds};
use onion::{BodyError, LogPlace, Request, Response};
use server::{AccessLog, Config};
use tempfile::TempDir;

struct Logged {
    _folder: TempDir,
    path: PathBuf,
    config: Config,
    log: Arc<AccessLog>,
}

impl Logged {
    fn new(format: &str, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let mut config = Config {
            access_log: LogPlace::File(path.clone()),
            access_log_format: format.parse().expect("a format"),
            ..Config::default()
        };
        change(&mut config);
        let log = AccessLog::open(&config).expect("it can be opened").expect("it was asked for");
        Logged { _folder: folder, path, config, log: Arc::new(log) }
    }

    fn serve<F, A>(&self, answer: F) -> common::Running
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = Response> + Send + 'static,
    {
        common::serve_logging(&self.config, Some(Arc::clone(&self.log)), answer)
    }

    /// The log, once it has so many lines.
    async fn lines(&self, count: usize) -> Vec<String> {
        let due = tokio::time::Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&self.path).expect("it is there");
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            if lines.len() >= count {
                assert_eq!(lines.len(), count, "{text}");
                return lines;
            }
            assert!(tokio::time::Instant::now() < due, "only {text:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn as_it_is(_: &mut Config) {}

#[tokio::test]
async fn a_line_has_the_true_bytes_of_head_and_body() {
    let logged = Logged::new("{request} {status} {bytes} {body_bytes} {abort}", as_it_is);
    let server = logged.serve(echo);
    let mut client = server.client().await;
    let first = client.get("/first").await;
    let second = client.get("/second?a=1").await;

    let sent = |answer: &common::Answer| (answer.head.len() + answer.body.len(), answer.body.len());
    let ((bytes, body), (further, last)) = (sent(&first), sent(&second));
    let lines = logged.lines(2).await;
    assert_eq!(lines[0], format!("GET /first HTTP/1.1 200 {bytes} {body} -"));
    assert_eq!(lines[1], format!("GET /second?a=1 HTTP/1.1 200 {further} {last} -"));
}

#[tokio::test]
async fn the_combined_format_is_the_one_that_every_tool_reads() {
    let logged = Logged::new("combined", as_it_is);
    let server = logged.serve(echo);
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nReferer: http://b/\r\nUser-Agent: a \"b\"\r\n\r\n").await;
    client.answer().await;

    let line = logged.lines(1).await.remove(0);
    let (before, after) = line.split_once(']').expect("a time");
    assert!(before.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(before.ends_with(" +0000"), "{line}");
    assert_eq!(after, r#" "GET / HTTP/1.1" 200 6 "http://b/" "a \x22b\x22""#);
}

#[tokio::test]
async fn what_is_refused_is_logged_too() {
    let logged = Logged::new("\"{request}\" {status}", |config| config.header_timeout = milliseconds(50));
    let server = logged.serve(echo);
    for sent in ["GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\nHo", "\x1b[2J\"\r\n\r\n"] {
        let mut client = server.client().await;
        client.send(sent).await;
        client.answer().await;
    }
    let mut client = server.client().await;
    client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n").await;
    client.answer().await;

    let lines = logged.lines(4).await;
    assert!(lines[0].ends_with("\" 400"), "{lines:?}");
    assert!(lines[1].ends_with("\" 408"), "{lines:?}");
    assert_eq!(lines[2], r#""\x1b[2J\x22" 400"#);
    assert_eq!(lines[3], r#""POST /a HTTP/1.1" 413"#);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_from_one_that_the_client_left() {
    let logged = Logged::new("{path} {status} {body_bytes} {abort}", as_it_is);
    let (sender, body) = blocks();
    let body = std::sync::Mutex::new(Some(body));
    let server = logged.serve(move |request: Request| {
        let body = body.lock().expect("no panic").take();
        async move {
            match request.uri().path() {
                "/fails" => Response::new(body.expect("asked for once")),
                _ => std::future::pending().await,
            }
        }
    });
    let mut client = server.client().await;
    client.send("GET /fails HTTP/1.1\r\nHost: a\r\n\r\n").await;
    sender.send(Ok(Bytes::from_static(b"12345"))).await.expect("it is read");
    sender.send(Err(BodyError::Producer("no more".into()))).await.expect("it is read");
    assert_eq!(logged.lines(1).await, ["/fails 200 10 failed"]);

    let mut client = server.client().await;
    client.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n").await;
    socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).expect("it is open");
    drop(client);
    assert_eq!(logged.lines(2).await[1], "/left 499 0 client gone");
}

#[tokio::test]
async fn what_is_cut_off_at_the_end_is_logged_as_such() {
    let logged = Logged::new("{path} {abort}", |config| config.graceful_timeout = milliseconds(20));
    let called = Arc::new(tokio::sync::Notify::new());
    let calling = Arc::clone(&called);
    let server = logged.serve(move |_| {
        calling.notify_one();
        std::future::pending()
    });
    let mut client = server.client().await;
    client.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await;
    common::soon(called.notified()).await;
    server.stop.begin();
    assert!(!server.ended().await);

    assert_eq!(logged.lines(1).await, ["/endless stopped"]);
}

#[tokio::test]
async fn secrets_are_masked_and_paths_left_out() {
    let logged = Logged::new("{target} {request_header.cookie} {request_header.x-key}", |config| {
        config.access_log_skip = vec!["/static/**".into()];
        config.access_log_mask_query = vec!["token".into()];
        config.access_log_mask_headers.push("X-Key".into());
    });
    let server = logged.serve(echo);
    let mut client = server.client().await;
    client.get("/static/a.css?x").await;
    client.send("GET /a?token=1&b=2 HTTP/1.1\r\nHost: a\r\nCookie: c=1\r\nX-Key: 7\r\n\r\n").await;
    client.answer().await;

    assert_eq!(logged.lines(1).await, ["/a?token=***&b=2 *** ***"]);
}

#[tokio::test]
async fn a_line_of_json_has_what_there_is() {
    let logged = Logged::new("json", as_it_is);
    let server = logged.serve(echo);
    let mut client = server.client().await;
    client.send("GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: \u{e4}\"\r\n\r\n").await;
    client.answer().await;
    client.get("/b").await;

    let lines = logged.lines(2).await;
    assert!(lines[0].ends_with(r#","user_agent":"ä\""}"#), "{lines:?}");
    let line = &lines[1];
    assert!(line.starts_with("{\"time\":\"20"), "{line}");
    assert!(
        line.contains(r#""method":"GET","target":"/b","protocol":"HTTP/1.1","scheme":"http","status":200"#)
    );
    assert!(!line.contains("abort") && !line.contains("user"), "{line}");
}

#[test]
fn what_cannot_be_logged_is_refused_with_the_way_out() {
    let refused = |change: fn(&mut Config)| {
        let mut config = Config { access_log: LogPlace::Standard, ..Config::default() };
        change(&mut config);
        AccessLog::open(&config).expect_err("it is wrong").to_string()
    };
    let error = refused(|config| config.access_log = LogPlace::File("/nowhere/at/all".into()));
    assert!(error.starts_with("access_log: \"/nowhere/at/all\" cannot be opened: "), "{error}");
    let error = refused(|config| config.access_log_skip = vec!["static/".into()]);
    assert!(error.ends_with("expected a glob such as \"/static/\""), "{error}");
    let error = refused(|config| config.access_log_mask_headers = vec!["a b".into()]);
    assert!(error.contains("no header name"), "{error}");
}
