//! The page that a scraper asks for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use onion::{Answer, Handler, Request, Response, plain};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Metrics;

/// Answers `/metrics`, on a listener of its own.
pub(crate) struct MetricsPage(pub(crate) Numbers);

/// Whose numbers are told.
#[derive(Clone)]
pub(crate) enum Numbers {
    /// Those of this process.
    Own(Arc<Metrics>),
    /// Those that a supervisor has of all its workers.
    OfWorkers(mpsc::Sender<Scraper>),
}

/// Somebody who waits for the page.
pub(crate) type Scraper = oneshot::Sender<Bytes>;

/// So many wait for the numbers of all workers at once; others wait for them.
pub(crate) const ASKING: usize = 16;

/// How long a supervisor may take. To tell something else then, such as the numbers of one worker, would be false.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

impl Numbers {
    /// The text; or why there is none.
    async fn text(&self) -> Result<Bytes, &'static str> {
        match self {
            Numbers::Own(metrics) => Ok(metrics.told().to_string().into()),
            Numbers::OfWorkers(asked) => {
                let (scraper, answer) = oneshot::channel();
                let told = timeout(PATIENCE, async {
                    asked.send(scraper).await.ok()?;
                    answer.await.ok()
                });
                match told.await {
                    Ok(text) => text.ok_or("The server stops\n"),
                    Err(_) => Err("The supervisor does not answer\n"),
                }
            }
        }
    }
}

impl Handler for MetricsPage {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            match request.uri().path() {
                "/metrics" => tell(&self.0, request.method()).await,
                _ => plain(StatusCode::NOT_FOUND, "The metrics are at /metrics\n"),
            }
        })
    }
}

/// Answers who asks for the page by `method`.
pub(super) async fn tell(numbers: &Numbers, method: &Method) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "Ask by GET\n");
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let mut response = match numbers.text().await {
        Ok(text) => {
            let mut response = Response::new(text.into());
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(FORMAT));
            response
        }
        Err(why) => plain(StatusCode::SERVICE_UNAVAILABLE, why),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
