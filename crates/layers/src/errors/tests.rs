//! What becomes of error responses, by where they come from and what the client prefers.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use onion::{Answer, Body, BodyError, Fault, Handler, Request, RequestExt, Response, Value, plain};
use serde_json::json;

use crate::testing::{refusal, request};

/// Answers with what the function makes.
struct Answers(fn() -> Response);

impl Handler for Answers {
    fn call(&self, _: Request) -> Answer<'_> {
        Box::pin(async move { (self.0)() })
    }
}

async fn ask(options: serde_json::Value, request: Request, answer: fn() -> Response) -> Response {
    let serde_json::Value::Object(options) = options else { unreachable!("a test gives a table") };
    let built = crate::build(crate::declaration("errors").expect("it is there"), options).expect("a layer");
    onion::wrap_when(built.layer, built.when, Arc::new(Answers(answer))).call(request).await
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().into_bytes(1 << 20).await.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn status(status: u16, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn of_the_application() -> Response {
    let mut response = status(404, "no such cat".into());
    response.headers_mut().insert(header::ETAG, HeaderValue::from_static("\"1\""));
    response
}

fn raised() -> Response {
    let mut response = plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n");
    response.extensions_mut().insert(Fault::new("a secret"));
    response
}

fn refused() -> Response {
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, "Slow down\n");
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("7"));
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("10"));
    response
}

#[tokio::test]
async fn what_is_no_error_passes() {
    let response = ask(json!({}), request(None, &[]), || status(302, "there".into())).await;

    assert!(response.headers().is_empty());
    assert_eq!(text(response).await, "there");
}

#[tokio::test]
async fn an_exception_becomes_a_page_that_says_nothing_of_it() {
    let response = ask(json!({}), request(None, &[("accept", "text/html")]), raised).await;

    assert_eq!(response.status(), 500);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["vary"], "accept");
    assert!(response.extensions().get::<Fault>().is_none());
    let page = text(response).await;
    assert!(page.contains("<title>500 Internal Server Error</title>"), "{page}");
    assert!(!page.contains("secret"));
}

#[tokio::test]
async fn who_prefers_json_gets_problem_details() {
    for (accept, expected) in [
        ("application/json", true),
        ("application/problem+json", true),
        ("text/html;q=0.5, application/json", true),
        ("text/html, application/json;q=0.9", false),
        ("*/*", false),
        ("image/png", false),
    ] {
        let response = ask(json!({}), request(None, &[("accept", accept)]), refused).await;

        assert_eq!(response.headers()["content-type"] == "application/problem+json", expected, "{accept}");
    }
}

#[tokio::test]
async fn problem_details_tell_status_title_and_the_id_of_the_request() {
    let mut request = request(None, &[]);
    request.tell("onionskin.request_id", Value::Text("01900000-0000-7000-8000-000000000000".to_owned()));

    let response = ask(json!({"problem_json": "always"}), request, refused).await;

    assert!(response.headers().get("vary").is_none());
    let details: serde_json::Value = serde_json::from_str(&text(response).await).expect("JSON");
    let id = "01900000-0000-7000-8000-000000000000";
    let expected = json!({"type": "about:blank", "title": "Too Many Requests", "status": 429,
                          "request_id": id, "instance": format!("urn:uuid:{id}")});
    assert_eq!(details, expected);
}

#[tokio::test]
async fn headers_stay_that_are_not_about_the_old_body() {
    let response = ask(json!({"problem_json": "never"}), request(None, &[]), refused).await;

    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(response.headers().len(), 2, "{:?}", response.headers());
}

#[tokio::test]
async fn the_applications_own_errors_are_left_alone_unless_they_are_intercepted() {
    let kept = ask(json!({}), request(None, &[]), of_the_application).await;
    let taken = ask(json!({"intercept_app_errors": true}), request(None, &[]), of_the_application).await;

    assert_eq!(kept.headers()["etag"], "\"1\"");
    assert_eq!(text(kept).await, "no such cat");
    assert!(taken.headers().get("etag").is_none());
    assert!(text(taken).await.contains("Not Found"));
}

#[tokio::test]
async fn an_error_without_a_body_gets_one() {
    for empty in [|| status(405, Body::empty()), || status(405, Body::stream(Blocks(vec!["", ""])))] {
        let response = ask(json!({}), request(None, &[]), empty).await;

        assert!(text(response).await.contains("Method Not Allowed"));
    }
    let response =
        ask(json!({}), request(None, &[]), || status(405, Body::stream(Blocks(vec!["", "a", "b"]))));
    assert_eq!(text(response.await).await, "ab");
}

#[tokio::test]
async fn an_answer_to_head_does_not_count_as_empty() {
    let ask_head = |answer| async move {
        let mut request = request(None, &[]);
        *request.method_mut() = Method::HEAD;
        ask(json!({}), request, answer).await
    };

    assert!(ask_head(|| status(404, Body::empty())).await.headers().is_empty());
    assert!(ask_head(raised).await.headers().contains_key("content-type"));
}

#[tokio::test]
async fn a_reason_of_the_applications_own_is_escaped() {
    let response = ask(json!({}), request(None, &[]), || {
        let mut response = status(499, Body::empty());
        response.extensions_mut().insert(onion::ReasonPhrase("<Gone>".into()));
        response
    });

    assert!(text(response.await).await.contains("<h1>&lt;Gone&gt;</h1>"));
}

#[test]
fn what_is_no_page_is_refused_at_start_up() {
    assert_eq!(
        refusal("errors", json!({"pages": {"44": "x.html"}})),
        "errors: pages: \"44\" is no status of an error; write 404, \"4xx\" or \"5xx\""
    );
    assert_eq!(
        refusal("errors", json!({"pages": {"404": "no/such.html"}})),
        "errors: pages: 404: \"no/such.html\" cannot be read: No such file or directory (os error 2); \
         give the path of a page"
    );
    assert_eq!(
        refusal("errors", json!({"pages": {"404": "Cargo.toml"}})),
        "errors: pages: 404: \"Cargo.toml\" is no page; give a file that ends in .html, .htm or .txt"
    );
    assert_eq!(
        refusal("errors", json!({"directory": "src"})),
        "errors: directory: \"src\" has no pages; put some there that are called 404.html or 5xx.html"
    );
}

/// A stream of these blocks.
struct Blocks(Vec<&'static str>);

impl http_body::Body for Blocks {
    type Data = bytes::Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<bytes::Bytes>, BodyError>>> {
        let next = (!self.0.is_empty()).then(|| self.0.remove(0));
        std::task::Poll::Ready(next.map(|block| Ok(http_body::Frame::data(block.into()))))
    }
}
