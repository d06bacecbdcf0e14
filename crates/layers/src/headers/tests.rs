//! What `Headers` does to both kinds of message, and what it refuses.

use serde_json::{Value, json};

use crate::testing::{Outcome, refusal, request, send};

async fn on_response(changes: Value) -> Outcome {
    send("headers", json!({"response": changes}), request(None, &[])).await
}

async fn on_request(changes: Value, headers: &[(&str, &str)]) -> Outcome {
    send("headers", json!({"request": changes}), request(None, headers)).await
}

/// The values of a header of the response. The application gives `x-request-id: of-the-application`.
fn values<'a>(outcome: &'a Outcome, name: &str) -> Vec<&'a str> {
    outcome.response.headers().get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
}

#[tokio::test]
async fn set_puts_its_lines_in_the_place_of_any_other() {
    let outcome = on_response(json!({"set": {"X-Request-Id": "mine", "X-New": ["a", "b"]}})).await;

    assert_eq!(values(&outcome, "x-request-id"), ["mine"]);
    assert_eq!(values(&outcome, "x-new"), ["a", "b"]);
}

#[tokio::test]
async fn append_puts_its_lines_beside_others() {
    let cookies = ["a=1; Path=/", "b=2"];
    let outcome = on_response(json!({"append": {"X-Request-Id": "more", "Set-Cookie": cookies}})).await;

    assert_eq!(values(&outcome, "x-request-id"), ["of-the-application", "more"]);
    assert_eq!(values(&outcome, "set-cookie"), cookies);
}

#[tokio::test]
async fn default_stands_back_behind_what_is_there() {
    let outcome = on_response(json!({"default": {"X-Request-Id": "mine", "X-New": "a"}})).await;

    assert_eq!(values(&outcome, "x-request-id"), ["of-the-application"]);
    assert_eq!(values(&outcome, "x-new"), ["a"]);
}

#[tokio::test]
async fn remove_takes_all_lines_away() {
    let outcome = on_response(json!({"remove": ["X-REQUEST-ID", "x-not-there"]})).await;

    assert!(values(&outcome, "x-request-id").is_empty());
}

#[tokio::test]
async fn the_application_sees_the_request_as_it_was_changed() {
    let changes = json!({
        "set": {"host": "inside.example.org"},
        "append": {"x-list": "c"},
        "default": {"accept": "*/*", "accept-language": "en"},
        "remove": ["x-debug"],
    });
    let came = [
        ("host", "example.org"),
        ("x-list", "a"),
        ("x-list", "b"),
        ("accept", "text/html"),
        ("x-debug", "1"),
    ];
    let outcome = on_request(changes, &came).await;

    assert_eq!(outcome.seen_header("host"), ["inside.example.org"]);
    assert_eq!(outcome.seen_header("x-list"), ["a", "b", "c"]);
    assert_eq!(outcome.seen_header("accept"), ["text/html"]);
    assert_eq!(outcome.seen_header("accept-language"), ["en"]);
    assert!(outcome.seen_header("x-debug").is_empty());
    assert_eq!(values(&outcome, "x-request-id"), ["of-the-application"]);
}

#[test]
fn what_would_break_a_message_is_refused_at_start_up() {
    for (options, expected) in [
        (json!({}), "headers: there is nothing to do; give request or response, such as "),
        (json!({"response": {"set": {"X Y": "1"}}}), r#"headers: response.set: "X Y" is no header name; "#),
        (
            json!({"response": {"set": {"X": "a\r\nb: c"}}}),
            r#"headers: response.set: "X" can't have the value "a\r\nb: c"; "#,
        ),
        (
            json!({"response": {"set": {"X": " a"}}}),
            r#"headers: response.set: "X" can't have the value " a"; "#,
        ),
        (
            json!({"response": {"set": {"X": "é"}}}),
            r#"headers: response.set: "X" can't have the value "é"; "#,
        ),
        (json!({"response": {"set": {"X": []}}}), r#"headers: response.set: "X" has no value; "#),
        (
            json!({"response": {"remove": ["Content-Length"]}}),
            r#"headers: response.remove: "Content-Length" is the server's own matter; "#,
        ),
        (
            json!({"request": {"default": {"Transfer-Encoding": "chunked"}}}),
            r#"headers: request.default: "Transfer-Encoding" is the server's own matter; "#,
        ),
        (json!({"request": {"remove": ["Host"]}}), r#"headers: request.remove: "Host" is the server's own"#),
        (json!({"request": {"set": {"X_Y": "1"}}}), r#"headers: request.set: "X_Y" has an underscore, "#),
        (
            json!({"response": {"append": {"Content-Type": "text/plain"}}}),
            r#"headers: response.append: "Content-Type" may come only once; "#,
        ),
        (
            json!({"response": {"set": {"ETag": ["\"a\"", "\"b\""]}}}),
            r#"headers: response.set: "ETag" may come only once; "#,
        ),
        (
            json!({"response": {"set": {"X-A": "1"}, "remove": ["x-a"]}}),
            r#"headers: response.set: "X-A" is treated already; "#,
        ),
        (
            json!({"response": {"set": {"X-A": 5}}}),
            "headers: response.set.X-A: 5 does not fit; give a text or a list",
        ),
        (json!({"response": {"put": {}}}), "headers: response.put: "),
    ] {
        let refusal = refusal("headers", options);
        assert!(refusal.starts_with(expected), "{refusal}\n{expected}");
    }
}

#[tokio::test]
async fn options_as_text_reach_into_the_tables() {
    let declaration = crate::declaration("headers").expect("a layer");
    let text = "headers:response.set.Cache-Control=public, max-age=60,response.remove=X-Request-Id,X-B,\
                response.append.Set-Cookie=a=1; Path=/";
    let (_, pairs) = onion::text_options::split(text).expect("options");
    let options = crate::from_text(declaration, pairs).expect("options");
    let outcome = send("headers", options.into(), request(None, &[])).await;

    assert_eq!(values(&outcome, "cache-control"), ["public, max-age=60"]);
    assert_eq!(values(&outcome, "set-cookie"), ["a=1; Path=/"]);
    assert!(values(&outcome, "x-request-id").is_empty());
}
