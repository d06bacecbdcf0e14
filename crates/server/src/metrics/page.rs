//! The page that a scraper asks for.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use onion::{Answer, Handler, Request, Response, answer, plain};

use super::Metrics;

/// Answers `/metrics`, on a listener of its own.
pub(crate) struct MetricsPage(pub(crate) Arc<Metrics>);

impl Handler for MetricsPage {
    fn call(&self, request: Request) -> Answer<'_> {
        let response = match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/metrics") => {
                let mut response = Response::new(self.0.snapshot().to_string().into());
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FORMAT));
                response
            }
            (_, "/metrics") => plain(StatusCode::METHOD_NOT_ALLOWED, "Ask by GET\n"),
            _ => plain(StatusCode::NOT_FOUND, "The metrics are at /metrics\n"),
        };
        answer(response)
    }
}

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
