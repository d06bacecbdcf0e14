//! The contract: a handler answers a request, a layer stands around a handler.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Request, Response, When};

/// Answers requests. An application, a file server or a whole onion is a handler.
///
/// Failure is a response too: no error type crosses the onion.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    async fn call(&self, request: Request) -> Response;

    /// Whether an answer may wait for a network, a timer or a pool of threads: it is then to be polled within a
    /// tokio runtime. Our server always does so; the door to other servers starts one for those who say so.
    fn needs_runtime(&self) -> bool {
        false
    }
}

/// Stands around a handler. Code above `next.run(request).await` is a pre-processor, code below it a
/// post-processor, and a `return` before it answers in the application's place.
#[async_trait]
pub trait Layer: Send + Sync + 'static {
    /// Treats one request, and passes it on with `next` unless it answers itself.
    async fn call(&self, request: Request, next: Next<'_>) -> Response;

    /// See [`Handler::needs_runtime`]; this is about the layer itself, not about what stands inside.
    fn needs_runtime(&self) -> bool {
        false
    }
}

/// The rest of the onion, as seen from a layer.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    handler: &'a dyn Handler,
}

impl<'a> Next<'a> {
    /// What stands inside the layer.
    pub fn new(handler: &'a dyn Handler) -> Self {
        Next { handler }
    }

    /// Passes the request on, and gives the response that comes back.
    pub fn run(self, request: Request) -> Answer<'a> {
        self.handler.call(request)
    }
}

/// A response to come.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Response> + Send + 'a>>;

/// Puts `layer` around `handler`.
pub fn wrap(layer: Arc<dyn Layer>, handler: Arc<dyn Handler>) -> Arc<dyn Handler> {
    wrap_when(layer, When::always(), handler)
}

/// Puts `layer` around `handler` for those requests that `when` selects; the others go by it.
pub fn wrap_when(layer: Arc<dyn Layer>, when: When, handler: Arc<dyn Handler>) -> Arc<dyn Handler> {
    Arc::new(Layered { layer, when, handler })
}

/// One skin of the onion.
struct Layered {
    layer: Arc<dyn Layer>,
    when: When,
    handler: Arc<dyn Handler>,
}

// Written out, not by `async_trait`: the layer's own boxed future is handed through, so that a skin costs one
// allocation a request instead of two.
impl Handler for Layered {
    fn call<'a, 'f>(&'a self, request: Request) -> Answer<'f>
    where
        'a: 'f,
        Self: 'f,
    {
        if self.when.selects(&request) {
            self.layer.call(request, Next::new(&*self.handler))
        } else {
            self.handler.call(request)
        }
    }
    fn needs_runtime(&self) -> bool {
        self.layer.needs_runtime() || self.handler.needs_runtime()
    }
}
