//! Which responses are transformed, by which stylesheet, and what becomes of their heads. The engine is one for tests:
//! a stylesheet puts its own text around the document.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::Frame;
use onion::{Answer, Body, BodyError, Handler, Request, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::engine::{Document, Engine, Fetch, Transformation, Transformed, provide};
use crate::testing::{refusal, request};

struct Brackets;

impl Engine for Brackets {
    fn compile(&self, chain: &[PathBuf], _: Option<&Path>) -> Result<Arc<dyn Transformation>, String> {
        let read = |file: &PathBuf| {
            fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
        };
        let texts = chain.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Arc::new(Bracketed { files: chain.to_vec(), texts }))
    }

    fn compile_fetched(&self, url: &str, fetch: &Arc<dyn Fetch>) -> Result<Arc<dyn Transformation>, String> {
        let text = String::from_utf8_lossy(&fetch.fetch(url)?).into_owned();
        // `+URL` imports what is there.
        let texts = match text.strip_prefix('+') {
            Some(url) => vec![String::from_utf8_lossy(&fetch.fetch(url)?).into_owned()],
            None => vec![text],
        };
        Ok(Arc::new(Bracketed { files: Vec::new(), texts }))
    }
}

struct Bracketed {
    files: Vec<PathBuf>,
    texts: Vec<String>,
}

impl Transformation for Bracketed {
    fn files(&self) -> &[PathBuf] {
        &self.files
    }

    fn media_type(&self) -> Option<&str> {
        self.texts.last().filter(|text| *text != "open").map(|_| "text/html")
    }

    fn apply(&self, document: &Document, _: Option<&Arc<dyn Fetch>>) -> Result<Option<Transformed>, String> {
        let mut made = String::from_utf8_lossy(&document.bytes).into_owned();
        for text in &self.texts {
            match text.as_str() {
                "fail" => return Err("it was told to fail".to_owned()),
                "slow" => {
                    let (_nobody, sends) = channel::<()>();
                    let _ = sends.recv_timeout(Duration::from_millis(300));
                }
                "long" => made = made.repeat(1000),
                text => made = format!("{text}[{made}]"),
            }
        }
        if document.is_html {
            made.push_str(" of HTML");
        }
        if document.bytes.starts_with(b"<!--") {
            return Ok(None);
        }
        Ok(Some(Transformed {
            bytes: made.into(),
            media_type: "text/html".to_owned(),
            charset: "UTF-8".to_owned(),
        }))
    }
}

/// A folder with stylesheets that are called after their text.
pub(super) fn sheets(texts: &[&str]) -> TempDir {
    provide(Brackets);
    let folder = tempfile::tempdir().expect("a folder");
    for text in texts {
        fs::write(folder.path().join(format!("{text}.xsl")), text).expect("a stylesheet");
    }
    folder
}

/// What a transformation makes of an empty document.
pub(super) fn applied(transformation: &dyn Transformation) -> String {
    let document =
        Document { bytes: Bytes::new(), is_html: false, is_utf8: true, parameters: Arc::new([]), url: None };
    let made = transformation.apply(&document, None).expect("applied").expect("it has an element");
    String::from_utf8(made.bytes.to_vec()).expect("text")
}

/// An application with one answer, which remembers the request's head.
struct Answers {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: fn() -> Body,
    seen: Mutex<Option<http::HeaderMap>>,
}

impl Answers {
    fn new(content_type: &'static str) -> Self {
        Answers {
            status: 200,
            headers: vec![("content-type", content_type)],
            body: || "<a/>".into(),
            seen: Mutex::default(),
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Handler for Answers {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            *self.seen.lock().expect("no test panicked with it") = Some(request.headers().clone());
            let mut response = Response::new((self.body)());
            *response.status_mut() = StatusCode::from_u16(self.status).expect("a status");
            for (name, value) in &self.headers {
                response.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            response
        })
    }
}

fn layer(folder: &TempDir, mut options: Value) -> crate::Built {
    options["directory"] = folder.path().to_str().expect("a path").into();
    let Value::Object(options) = options else { unreachable!("a test gives a table") };
    crate::build(crate::declaration("xslt").expect("it is there"), options).expect("a layer")
}

async fn ask(built: crate::Built, request: Request, application: Answers) -> Response {
    onion::wrap_when(built.layer, built.when, Arc::new(application)).call(request).await
}

fn get(path: &str) -> Request {
    let mut request = request(None, &[]);
    *request.uri_mut() = path.parse().expect("a path");
    request
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().into_bytes(1 << 20).await.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

async fn made(folder: &TempDir, options: Value, path: &str, application: Answers) -> String {
    text(ask(layer(folder, options), get(path), application).await).await
}

#[tokio::test]
async fn a_document_is_transformed_and_its_head_with_it() {
    let application = Answers::new("application/xml; charset=latin1")
        .with("etag", "\"1\"")
        .with("last-modified", "Sun, 22 Nov 2026 10:00:00 GMT")
        .with("content-length", "4")
        .with("accept-ranges", "bytes")
        .with("set-cookie", "a=1");
    let folder = sheets(&["x"]);

    let response = ask(layer(&folder, json!({"sheet": "x.xsl"})), get("/"), application).await;

    let headers = response.headers();
    assert_eq!(headers["content-type"], "text/html; charset=UTF-8");
    assert_eq!(headers["content-length"], "7");
    assert_eq!(headers["set-cookie"], "a=1");
    assert_eq!(headers.len(), 3, "{headers:?}");
    assert_eq!(text(response).await, "x[<a/>]");
}

#[tokio::test]
async fn validators_can_be_kept() {
    let application =
        Answers::new("text/xml").with("etag", "\"1\"").with("last-modified", "Sun, 22 Nov 2026 10:00:00 GMT");
    let folder = sheets(&["x"]);

    let built = layer(&folder, json!({"sheet": "x.xsl", "keep_validators": true}));
    let response = ask(built, get("/"), application).await;

    assert_eq!(response.headers()["etag"], "W/\"1\"");
    assert!(response.headers().contains_key("last-modified"));
}

#[tokio::test]
async fn a_chain_is_applied_in_its_order() {
    let folder = sheets(&["x", "y"]);

    let options = json!({"sheet": ["x.xsl", "y.xsl"]});

    assert_eq!(made(&folder, options, "/", Answers::new("text/xml")).await, "y[x[<a/>]]");
}

#[tokio::test]
async fn what_is_no_document_passes_untouched() {
    let folder = sheets(&["x"]);
    let status = |status| Answers { status, ..Answers::new("text/xml") };
    for application in [
        Answers::new("text/html"),
        Answers::new("image/svg+xml"),
        Answers::new("text/xml").with("content-encoding", "gzip"),
        Answers::new("text/xml").with("cache-control", "private, No-Transform"),
        status(206),
        status(204),
        Answers { headers: vec![], ..Answers::new("") },
    ] {
        let before = application.headers.len();
        let response = ask(layer(&folder, json!({"sheet": "x.xsl"})), get("/"), application).await;

        assert_eq!(response.headers().len(), before);
        assert_eq!(text(response).await, "<a/>");
    }
    let coded = Answers::new("text/xml").with("content-encoding", "identity");
    assert_eq!(made(&folder, json!({"sheet": "x.xsl"}), "/", coded).await, "x[<a/>]");
}

#[tokio::test]
async fn a_response_without_a_document_keeps_its_headers() {
    let folder = sheets(&["x"]);
    for body in [|| Body::empty(), || Body::from(" \r\n\t"), || Body::from("<!-- moved -->")] {
        for (status, name, value) in [(302, "location", "/new"), (401, "www-authenticate", "Basic realm=x")] {
            for media_type in ["text/html; charset=utf-8", "text/xml"] {
                let application = Answers { status, body, ..Answers::new(media_type).with(name, value) };
                let options = json!({"sheet": "x.xsl", "types": ["text/html", "text/xml"]});
                let response = ask(layer(&folder, options), get("/"), application).await;

                assert_eq!(response.status(), status);
                assert_eq!(response.headers()[name], value);
                assert_eq!(response.headers()["content-type"], media_type);
            }
        }
    }
}

#[tokio::test]
async fn a_document_is_decoded_before_it_is_transformed() {
    let folder = sheets(&["x"]);
    let latin = || Body::from(Bytes::from_static(b"\x80"));
    for (media_type, default, expected) in [
        ("text/xml; charset=iso-8859-1", json!(null), "x[\u{20ac}]"),
        ("text/xml; charset=nonsense", json!("koi8-r"), "x[\u{2500}]"),
    ] {
        let application = Answers { body: latin, ..Answers::new(media_type) };
        let options = json!({"sheet": "x.xsl", "default_charset": default});
        assert_eq!(made(&folder, options, "/", application).await, expected);
    }
    let named = || {
        let text = "\u{feff}<?xml-stylesheet type='text/xsl' href='x.xsl'?><a/>";
        Body::from(text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
    };
    let application = Answers { body: named, ..Answers::new("text/xml") };
    let answer = made(&folder, json!({"processing_instruction": true}), "/", application).await;
    assert!(answer.starts_with("x[<?xml-stylesheet"), "{answer}");
}

#[tokio::test]
async fn the_stylesheet_is_chosen_by_path_then_by_type() {
    let folder = sheets(&["x", "y", "z", "rss"]);
    let options = json!({
        "sheet": "x.xsl",
        "sheets": {"/feed/*": "y.xsl", "/feed/new/*": ["z.xsl"], "application/rss+xml": "rss.xsl"},
        "types": ["text/xml", "text/html"],
    });
    for (path, media_type, expected) in [
        ("/", "text/xml", "x[<a/>]"),
        ("/feed/a", "TEXT/XML", "y[<a/>]"),
        ("/feed/new/a", "text/xml", "z[<a/>]"),
        ("/", "application/rss+xml", "rss[<a/>]"),
        ("/feed/a", "application/rss+xml", "rss[<a/>]"),
        ("/", "application/xml", "<a/>"),
        ("/feed/a", "text/html", "y[<a/>] of HTML"),
    ] {
        assert_eq!(
            made(&folder, options.clone(), path, Answers::new(media_type)).await,
            expected,
            "{path} {media_type}"
        );
    }
}

#[tokio::test]
async fn a_document_may_name_its_stylesheet_if_that_is_allowed() {
    let folder = sheets(&["x", "y"]);
    fs::write(folder.path().join("notes.txt"), "y").expect("a file");
    let naming = |body| Answers { body, ..Answers::new("text/xml") };
    let options = json!({"processing_instruction": true});
    let both = json!({"processing_instruction": true, "sheet": "x.xsl"});
    let y = || Body::from("<?xml-stylesheet type='text/xsl' href='/y.xsl'?><a/>");

    let answer = made(&folder, options.clone(), "/", naming(y)).await;
    assert!(answer.starts_with("y["), "{answer}");
    let answer = made(&folder, both.clone(), "/", naming(y)).await;
    assert!(answer.starts_with("y["), "{answer}");
    assert_eq!(made(&folder, both, "/", Answers::new("text/xml")).await, "x[<a/>]");
    assert!(made(&folder, json!({"sheet": "x.xsl"}), "/", naming(y)).await.starts_with("x["));
    for elsewhere in [
        || Body::from("<?xml-stylesheet type='text/xsl' href='../y.xsl'?><a/>"),
        || Body::from("<?xml-stylesheet type='text/xsl' href='http://localhost/y.xsl'?><a/>"),
        || Body::from("<?xml-stylesheet type='text/xsl' href='none.xsl'?><a/>"),
        || Body::from("<?xml-stylesheet type='text/xsl' href='notes.txt'?><a/>"),
    ] {
        let answer = made(&folder, options.clone(), "/", naming(elsewhere)).await;
        assert!(answer.starts_with("<?xml-stylesheet"), "{answer}");
    }
}

#[tokio::test]
async fn a_part_is_not_asked_for_where_a_whole_is_needed() {
    let folder = sheets(&["x"]);
    for (options, path, expected) in [
        (json!({"sheet": "x.xsl"}), "/", false),
        (json!({"sheets": {"/feed/*": "x.xsl"}}), "/feed/a", false),
        (json!({"sheets": {"/feed/*": "x.xsl"}}), "/", true),
    ] {
        let application = Arc::new(Answers::new("text/plain"));
        let built = layer(&folder, options);
        let mut request = get(path);
        request.headers_mut().insert(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        onion::wrap_when(built.layer, built.when, application.clone()).call(request).await;

        let seen = application.seen.lock().expect("no test panicked with it").take().expect("it was asked");
        assert_eq!(seen.contains_key("range"), expected, "{path}");
    }
}

#[tokio::test]
async fn an_answer_to_head_tells_what_is_known() {
    let folder = sheets(&["x", "open"]);
    for (sheet, expected) in [("x.xsl", Some("text/html")), ("open.xsl", None)] {
        let mut request = get("/");
        *request.method_mut() = Method::HEAD;
        let application = Answers::new("text/xml").with("content-length", "4").with("etag", "\"1\"");
        let response = ask(layer(&folder, json!({"sheet": sheet})), request, application).await;

        let content_type = response.headers().get("content-type").map(|value| value.to_str().expect("text"));
        assert_eq!(content_type, expected);
        assert_eq!(response.headers().len(), usize::from(expected.is_some()));
    }
}

#[tokio::test]
async fn what_goes_wrong_is_an_error_or_passes_if_that_is_asked_for() {
    let folder = sheets(&["x", "fail", "slow", "long"]);
    for options in [
        json!({"sheet": "fail.xsl"}),
        json!({"sheet": "slow.xsl", "timeout": "50ms"}),
        json!({"sheet": "long.xsl", "max_output": 3999}),
        json!({"sheet": "x.xsl", "max_input": 3}),
    ] {
        for body in [|| Body::from("<a/>"), || Body::stream(Blocks(vec![Ok("<a"), Ok("/>")]))] {
            let application = || Answers { body, ..Answers::new("text/xml") };
            let response = ask(layer(&folder, options.clone()), get("/"), application()).await;
            assert_eq!(response.status(), 500, "{options}");
            assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");

            let mut passing = options.clone();
            passing["on_error"] = "pass".into();
            let response = ask(layer(&folder, passing), get("/"), application()).await;
            assert_eq!(
                (response.status(), &response.headers()["content-type"]),
                (StatusCode::OK, &HeaderValue::from_static("text/xml"))
            );
            assert_eq!(text(response).await, "<a/>");
        }
    }
}

#[tokio::test]
async fn who_finds_all_threads_busy_is_told_to_come_back() {
    let folder = sheets(&["slow"]);
    let built = layer(&folder, json!({"sheet": "slow.xsl", "threads": 1, "timeout": "100ms"}));
    let onion = onion::wrap_when(built.layer, built.when, Arc::new(Answers::new("text/xml")));

    assert_eq!(onion.call(get("/")).await.status(), 500);
    let response = onion.call(get("/")).await;

    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "1");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_document() {
    let folder = sheets(&["x"]);
    let body = || Body::stream(Blocks(vec![Ok("<a"), Err(BodyError::Disconnected)]));
    let application = Answers { body, ..Answers::new("text/xml") };

    let response = ask(layer(&folder, json!({"sheet": "x.xsl"})), get("/"), application).await;

    assert_eq!(response.status(), 500);
    assert!(response.extensions().get::<onion::Fault>().is_some());
}

#[test]
fn wrong_options_are_refused_at_start_up() {
    let folder = sheets(&["x"]);
    let directory = folder.path().to_str().expect("a path");
    for (options, expected) in [
        (json!({}), "xslt: sheet is missing; "),
        (json!({"sheet": []}), "xslt: sheet: there is no stylesheet; "),
        (json!({"sheet": "none.xsl"}), "xslt: sheet: none.xsl cannot be read: "),
        (
            json!({"sheets": {"rss": "x.xsl"}, "directory": directory}),
            "xslt: sheets: \"rss\" is neither a path ",
        ),
        (json!({"processing_instruction": true, "fetch": false}), "xslt: directory is missing; "),
        (json!({"sheet": "x.xsl", "parameters": {"a b": "c"}}), "xslt: parameters: \"a b\" is no name "),
        (
            json!({"sheet": "x.xsl", "directory": directory, "default_charset": "klingon"}),
            "xslt: default_charset: \"klingon\" is not a known charset; expected ",
        ),
        (json!({"sheet": "x.xsl", "threads": 0}), "xslt: threads: 0 does not fit; "),
    ] {
        let refusal = refusal("xslt", options);
        assert!(refusal.starts_with(expected), "{refusal}");
    }
}

/// A stream of these blocks.
struct Blocks(Vec<Result<&'static str, BodyError>>);

impl http_body::Body for Blocks {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let next = (!self.0.is_empty()).then(|| self.0.remove(0));
        Poll::Ready(next.map(|block| block.map(|text| Frame::data(text.into()))))
    }
}
