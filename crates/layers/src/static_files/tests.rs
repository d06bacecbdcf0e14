//! What a request comes to, without a server. The tables of conditions and ranges are in `tests/layers`.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use http::{Method, Response};
use onion::Body;
use onion::body::Kind;
use serde_json::{Value, json};

use crate::testing::{Outcome, refusal, request, send};

/// A root with some files, which are an hour old.
fn site() -> tempfile::TempDir {
    let site = tempfile::tempdir().expect("a folder");
    put(site.path(), "app.css", b"body {}");
    put(site.path(), "app.css.br", b"brotli");
    put(site.path(), "large.bin", &vec![7; 100_000]);
    fs::create_dir(site.path().join("sub")).expect("a folder");
    put(site.path(), "sub/index.html", b"<p>");
    site
}

fn put(root: &Path, name: &str, content: &[u8]) {
    let path = root.join(name);
    fs::write(&path, content).expect("a file");
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(path).and_then(|file| file.set_modified(hour_ago)).expect("a time");
}

async fn ask(site: &tempfile::TempDir, more: Value, method: Method, path: &str) -> Outcome {
    let mut options = json!({"root": site.path(), "recheck": "0s"});
    options.as_object_mut().expect("a table").extend(more.as_object().expect("a table").clone());
    let mut request = request(None, &[("accept-encoding", "br")]);
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().expect("a target");
    send("static_files", options, request).await
}

async fn get(site: &tempfile::TempDir, more: Value, path: &str) -> Outcome {
    ask(site, more, Method::GET, path).await
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().into_bytes(1 << 20).await.expect("a body");
    String::from_utf8(bytes.into()).expect("text")
}

#[tokio::test]
async fn a_small_file_is_answered_from_memory_and_a_large_one_by_the_kernel() {
    let site = site();

    let small = get(&site, json!({}), "/app.css").await.response;
    let large = get(&site, json!({}), "/large.bin").await.response;

    assert!(matches!(small.body().kind(), Kind::Bytes(_)));
    assert!(matches!(large.body().kind(), Kind::File(range) if range.length == 100_000));
    assert!(small.headers().contains_key("etag") && large.headers().contains_key("etag"));
}

#[tokio::test]
async fn a_compressed_form_has_an_entity_tag_of_its_own() {
    let site = site();
    let compressed = get(&site, json!({}), "/app.css").await.response;
    let plain = get(&site, json!({"precompressed": false}), "/app.css").await.response;

    assert_eq!(compressed.headers()["content-encoding"], "br");
    assert_eq!(compressed.headers()["content-type"], "text/css; charset=utf-8");
    assert_eq!(compressed.headers()["vary"], "accept-encoding");
    assert!(!plain.headers().contains_key("content-encoding"));
    assert_ne!(compressed.headers()["etag"], plain.headers()["etag"]);
    assert_eq!(text(compressed).await, "brotli");
}

#[tokio::test]
async fn a_compressed_form_that_is_older_than_the_file_is_not_used() {
    let site = site();
    fs::write(site.path().join("app.css"), "newer").expect("a file");

    assert_eq!(text(get(&site, json!({}), "/app.css").await.response).await, "newer");
}

#[tokio::test]
async fn what_is_no_file_reaches_the_application_untouched() {
    let site = site();
    for path in
        ["/none", "/sub", "/sub/", "/../app.css", "/%2e%2e/app.css", "/app.css/", "/app.css%00", "/static"]
    {
        assert!(get(&site, json!({}), path).await.seen.is_some(), "{path}");
    }
    let posted = ask(&site, json!({}), Method::POST, "/app.css").await;
    assert_eq!(posted.seen.expect("it was asked").method, Method::POST);
}

#[tokio::test]
async fn without_an_application_to_ask_there_is_nothing_and_no_other_method() {
    let site = site();
    let strict = json!({"fallthrough": false, "prefix": "/static"});

    assert_eq!(get(&site, strict.clone(), "/static/none").await.response.status(), 404);
    let posted = ask(&site, strict.clone(), Method::POST, "/static/app.css").await.response;
    assert_eq!(
        (posted.status().as_u16(), &posted.headers()["allow"]),
        (405, &"GET, HEAD".parse().expect("a value"))
    );
    assert!(get(&site, strict, "/elsewhere").await.seen.is_some());
}

#[tokio::test]
async fn the_place_of_a_folder_is_told_relative_to_the_path_in_use() {
    let site = site();
    let index = json!({"index": "index.html"});

    let moved = get(&site, index.clone(), "/sub?a=b").await.response;
    assert_eq!(
        (moved.status().as_u16(), &moved.headers()["location"]),
        (301, &"./sub/?a=b".parse().expect("a value"))
    );
    assert_eq!(text(get(&site, index.clone(), "/sub/").await.response).await, "<p>");
    assert!(get(&site, index, "/").await.seen.is_some());
}

#[tokio::test]
async fn a_file_that_is_changed_is_another_one() {
    let site = site();
    for name in ["app.css", "large.bin"] {
        let options = json!({"precompressed": false});
        let path = format!("/{name}");
        let first = get(&site, options.clone(), &path).await.response.headers()["etag"].clone();
        let again = get(&site, options.clone(), &path).await.response.headers()["etag"].clone();
        let file = File::options().write(true).open(site.path().join(name)).expect("a file");
        file.write_at(b"X", 0).expect("written");
        let changed = get(&site, options, &path).await.response.headers()["etag"].clone();

        assert_eq!(first, again);
        assert_ne!(first, changed, "{name}");
    }
}

#[tokio::test]
async fn a_file_that_is_changed_again_and_again_is_never_an_old_one() {
    let site = site();
    let options = json!({"root": site.path(), "recheck": "0s"});
    let built = crate::build(
        crate::declaration("static_files").expect("a layer"),
        options.as_object().expect("a table").clone(),
    );
    let alone = onion::wrap(built.expect("options").layer, std::sync::Arc::new(Nothing));
    for digit in 0..=99 {
        fs::write(site.path().join("sub/index.html"), [digit]).expect("a file");
        let mut request = request(None, &[]);
        *request.uri_mut() = "/sub/index.html".parse().expect("a target");

        let body = alone.call(request).await.into_body().into_bytes(9).await.expect("a body");
        assert_eq!(&body[..], [digit]);
    }
}

struct Nothing;

impl onion::Handler for Nothing {
    fn call(&self, _request: onion::Request) -> onion::Answer<'_> {
        Box::pin(async move { Response::new(Body::empty()) })
    }
}

#[tokio::test]
async fn a_large_file_that_may_be_changing_has_a_weak_tag() {
    let site = site();
    fs::write(site.path().join("large.bin"), vec![8; 100_000]).expect("a file");

    let fresh = get(&site, json!({}), "/large.bin").await.response;
    assert!(fresh.headers()["etag"].as_bytes().starts_with(b"W/"));
}

#[test]
fn wrong_options_are_refused_with_what_would_be_right() {
    let site = site();
    let root = site.path();
    for (options, expected) in [
        (
            json!({"root": root, "prefix": "static"}),
            "prefix: \"static\" is not a path; expected one such as \"/static\"",
        ),
        (
            json!({"root": root, "index": "a/b"}),
            "index: \"a/b\" is no file name; give one such as index.html",
        ),
        (
            json!({"root": root, "immutable": "("}),
            "immutable: \"(\" is no regular expression; give one such as ",
        ),
        (
            json!({"root": root, "headers": {"**": {"ETag": "x"}}}),
            "headers: **: ETag is the server's or the layer's",
        ),
        (
            json!({"root": root, "headers": {"**": {"X": "a\nb"}}}),
            "headers: **: \"a\\nb\" is no header value; give",
        ),
        (
            json!({"root": root, "headers": {"**": {"a b": "c"}}}),
            "headers: **: \"a b\" is no header name; give one",
        ),
        (json!({}), "root is missing; give a text, such as \"static\""),
    ] {
        let refusal = refusal("static_files", options);
        assert!(refusal.starts_with(&format!("static_files: {expected}")), "{refusal}");
    }
}
