//! What gets to which application, and as what.

use std::sync::Arc;

use http::request::Parts;
use onion::{Answer, Body, Handler, NotFound, Request, Response, Supply};
use serde_json::{Value, json};

/// An application that tells its name and what it was asked.
struct Named(&'static str);

impl Handler for Named {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            let (parts, _) = request.into_parts();
            let told = format!("{} {}", self.0, paths(&parts));
            Response::new(told.into())
        })
    }
}

/// `SCRIPT_NAME|PATH_INFO`.
fn paths(parts: &Parts) -> String {
    let context = parts.extensions.get::<onion::Context>();
    let script_name = context.map(|context| String::from_utf8_lossy(&context.script_name).into_owned());
    let is_empty = context.is_some_and(|context| context.path_is_empty);
    let path = if is_empty { "" } else { parts.uri.path() };
    format!("{}|{path}", script_name.unwrap_or_default())
}

fn supply() -> Supply {
    Supply::finding(|name| {
        const KNOWN: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
        let known = KNOWN.iter().find(|known| **known == name);
        known
            .map(|known| Arc::new(Named(known)) as Arc<dyn Handler>)
            .ok_or(format!("no {name}; give another"))
    })
}

fn build(options: &Value) -> Result<crate::Built, onion::OptionError> {
    let options = options.as_object().cloned().expect("a test gives a table");
    supply().at_hand(|| crate::build(crate::declaration("mount")?, options))
}

async fn ask(options: Value, request: http::request::Builder) -> (u16, String, Response) {
    let built = build(&options).expect("a layer");
    let onion = onion::wrap_when(built.layer, built.when, Arc::new(NotFound));
    let mut response = onion.call(request.body(Body::empty()).expect("a request")).await;
    let body = response.body_mut().take_bytes().expect("in memory");
    (response.status().as_u16(), String::from_utf8_lossy(&body).into_owned(), response)
}

async fn told(routes: &[(&str, &str)], uri: &str) -> String {
    let routes: serde_json::Map<_, _> =
        routes.iter().map(|(route, target)| ((*route).to_owned(), json!(target))).collect();
    ask(json!({"routes": routes}), http::Request::builder().uri(uri)).await.1
}

#[tokio::test]
async fn the_longest_path_gets_the_request_segment_by_segment() {
    let routes = [("/a", "a"), ("/a/b", "b"), ("/a/b/c/d", "d"), ("/", "f")];

    for (uri, expected) in [
        ("/a", "a /a|"),
        ("/a/", "a /a|/"),
        ("/a/x", "a /a|/x"),
        ("/ab", "f |/ab"),
        ("/a/b", "b /a/b|"),
        ("/a/bc", "a /a|/bc"),
        ("/a/b/c", "b /a/b|/c"),
        ("/a/b/c/d/e", "d /a/b/c/d|/e"),
        ("//a", "f |//a"),
        ("/a//b", "a /a|//b"),
        ("/", "f |/"),
    ] {
        assert_eq!(told(&routes, uri).await, expected, "{uri}");
    }
}

#[tokio::test]
async fn paths_are_compared_decoded_and_passed_on_as_they_came() {
    let routes = [("/caf\u{e9} x", "a"), ("/a/b", "b")];

    assert_eq!(told(&routes, "/caf%C3%A9%20x/%7e?q").await, "a /caf\u{e9} x|/%7e");
    assert_eq!(told(&routes, "/%61%2Fb/c").await, "b /a/b|/c", "environ can't tell an escaped slash");
}

#[tokio::test]
async fn the_most_specific_host_comes_first_and_one_without_a_fitting_path_is_passed_over() {
    let routes = json!({
        "api.example.org": "a", "api.example.org:8080": "b", "*.example.org": "c", "*.api.example.org": "d",
        "www.example.org/only": "e", "/": "f",
    });
    for (host, expected) in [
        ("api.example.org", "a"),
        ("API.example.org.:80", "a"),
        ("api.example.org:8080", "b"),
        ("x.example.org:9", "c"),
        ("x.api.example.org", "d"),
        ("example.org", "f"),
        ("evilexample.org", "f"),
        ("www.example.org", "c"),
        ("[::1]:80", "f"),
    ] {
        let request = http::Request::builder().uri("/x").header("host", host);
        let (_, answer, _) = ask(json!({"routes": routes}), request).await;
        assert_eq!(answer, format!("{expected} |/x"), "{host}");
    }
    let without_host = ask(json!({"routes": routes}), http::Request::builder().uri("/x")).await.1;
    assert_eq!(without_host, "f |/x");
}

#[tokio::test]
async fn a_host_s_own_port_is_that_of_the_scheme() {
    let routes = json!({"h:80": "a", "[::1]:80": "b"});
    for (host, expected) in [("h", "a |/"), ("h:80", "a |/"), ("[::1]", "b |/"), ("h:81", "Not Found\n")] {
        let request = http::Request::builder().uri("/").header("host", host);
        assert_eq!(ask(json!({"routes": routes}), request).await.1, expected, "{host}");
    }
}

#[tokio::test]
async fn a_route_for_a_method_comes_before_the_same_path_for_all() {
    let options = json!({"routes": {"POST,PUT /up": "a", "/up": "b", "DELETE /": "c", "/x": "d"}});
    for (method, uri, expected) in [
        ("POST", "/up", "a /up|"),
        ("GET", "/up/1", "b /up|/1"),
        ("DELETE", "/y", "c |/y"),
        ("GET", "/x", "d /x|"),
    ] {
        let request = http::Request::builder().method(method).uri(uri);
        assert_eq!(ask(options.clone(), request).await.1, expected);
    }
    assert_eq!(ask(options, http::Request::builder().uri("/y")).await.0, 404);
}

#[tokio::test]
async fn what_no_route_fits_goes_to_the_default_or_the_application_inside() {
    let request = || http::Request::builder().uri("/y");

    assert_eq!(ask(json!({"routes": {"/x": "a"}, "default": "b"}), request()).await.1, "b |/y");
    assert_eq!(ask(json!({"routes": {"/x": "a"}}), request()).await.0, 404);
}

#[tokio::test]
async fn the_path_is_kept_without_strip() {
    let options = json!({"routes": {"/a": "a"}, "strip": false});

    assert_eq!(ask(options, http::Request::builder().uri("/a/b")).await.1, "a |/a/b");
}

#[tokio::test]
async fn a_slash_is_put_to_a_bare_mount_point_on_demand() {
    let options = json!({"routes": {"/a b": "a", "/": "f"}, "slash": "redirect"});

    let (status, _, response) = ask(options.clone(), http::Request::builder().uri("/a%20b?q=1")).await;
    assert_eq!((status, &response.headers()["location"]), (308, &"/a%20b/?q=1".parse().expect("a value")));
    assert_eq!(ask(options.clone(), http::Request::builder().uri("/a%20b/")).await.1, "a /a b|/");
    assert_eq!(ask(options, http::Request::builder().uri("/")).await.1, "f |/");
}

#[test]
fn what_is_wrong_is_refused_by_its_place() {
    for (options, expected) in [
        (json!({"routes": {"/a": "x"}}), "mount: routes./a: no x; give another"),
        (
            json!({"routes": {"/a": "a", "/a/": "b"}}),
            "mount: routes: \"/a/\" is there twice; write each route once",
        ),
        (
            json!({"routes": {"/a": "a"}, "threads": {"/b": 1}}),
            "mount: threads: \"/b\" is no route; write it as it stands in routes",
        ),
        (
            json!({"routes": {"/a//b": "a"}}),
            "mount: routes: \"/a//b\" has an empty segment; write single slashes",
        ),
    ] {
        assert_eq!(build(&options).err().expect("a refusal").to_string(), expected);
    }
}
