//! The page that a scraper asks for.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use onion::{Answer, Handler, Request, Response, plain};
use tokio::sync::{mpsc, oneshot};

use super::Metrics;

/// Answers `/metrics`, on a listener of its own.
pub(crate) struct MetricsPage(pub(crate) Numbers);

/// Whose numbers are told.
pub(crate) enum Numbers {
    /// Those of this process.
    Own(Arc<Metrics>),
    /// Those that a supervisor has of all its workers: it answers with the text.
    OfWorkers(mpsc::Sender<oneshot::Sender<String>>),
}

impl Numbers {
    /// The text; `None` when there is nobody left to ask.
    async fn text(&self) -> Option<String> {
        match self {
            Numbers::Own(metrics) => Some(metrics.snapshot().to_string()),
            Numbers::OfWorkers(asked) => {
                let (reply, answer) = oneshot::channel();
                asked.send(reply).await.ok()?;
                answer.await.ok()
            }
        }
    }
}

impl Handler for MetricsPage {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            match (request.method(), request.uri().path()) {
                (&Method::GET | &Method::HEAD, "/metrics") => {
                    let Some(text) = self.0.text().await else {
                        return plain(StatusCode::SERVICE_UNAVAILABLE, "The server stops\n");
                    };
                    let mut response = Response::new(text.into());
                    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FORMAT));
                    response
                }
                (_, "/metrics") => plain(StatusCode::METHOD_NOT_ALLOWED, "Ask by GET\n"),
                _ => plain(StatusCode::NOT_FOUND, "The metrics are at /metrics\n"),
            }
        })
    }
}

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
