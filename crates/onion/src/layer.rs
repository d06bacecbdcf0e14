//! The contract: a handler answers a request, a layer stands around a handler.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use crate::{Limit, Request, Response, When};

/// Answers requests. An application, a file server or a whole onion is a handler.
///
/// Failure is a response too: no error type crosses the onion.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    fn call(&self, request: Request) -> Answer<'_>;

    /// Whether an answer may wait for a network, a timer or a pool of threads: it is then to be polled within a
    /// tokio runtime. Our server always does so; the door to other servers starts one for those who say so.
    fn needs_runtime(&self) -> bool {
        false
    }

    /// Adds the limits that calls of this handler may be under, so that they can be reported before the first request.
    fn limits(&self, _limits: &mut Vec<Arc<Limit>>) {}
}

/// Stands around a handler. Code above `next.run(request)` is a pre-processor, code below its `await` a
/// post-processor, and an answer without it is given in the application's place.
///
/// What happens on the way in may as well stand before the `async` block: then the block, which is allocated anew for
/// each request, does not have to hold the request. A layer that has nothing to do on the way out needs none at all,
/// and gives what `next.run(request)` gives it.
pub trait Layer: Send + Sync + 'static {
    /// Treats one request, and passes it on with `next` unless it answers itself.
    fn call<'a>(&'a self, request: Request, next: Next<'a>) -> Answer<'a>;

    /// See [`Handler::needs_runtime`]; this is about the layer itself, not about what stands inside.
    fn needs_runtime(&self) -> bool {
        false
    }

    /// See [`Handler::limits`]; this is about the layer itself, not about what stands inside.
    fn limits(&self, _limits: &mut Vec<Arc<Limit>>) {}
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

/// An answer that is there already.
pub fn answer<'a>(response: Response) -> Answer<'a> {
    Box::pin(ready(response))
}

/// Puts `layer` around `handler`.
pub fn wrap(layer: Arc<dyn Layer>, handler: Arc<dyn Handler>) -> Arc<dyn Handler> {
    Arc::new(Layered { layer, handler })
}

/// Puts `layer` around `handler` for those requests that `when` selects; the others go by it.
pub fn wrap_when(layer: Arc<dyn Layer>, when: When, handler: Arc<dyn Handler>) -> Arc<dyn Handler> {
    if when.is_always() { wrap(layer, handler) } else { Arc::new(Selective { when, layer, handler }) }
}

/// One skin of the onion. It does not look at the request, and so needs no copy of it to pass on.
struct Layered {
    layer: Arc<dyn Layer>,
    handler: Arc<dyn Handler>,
}

impl Handler for Layered {
    fn call(&self, request: Request) -> Answer<'_> {
        self.layer.call(request, Next::new(&*self.handler))
    }

    fn needs_runtime(&self) -> bool {
        self.layer.needs_runtime() || self.handler.needs_runtime()
    }

    fn limits(&self, limits: &mut Vec<Arc<Limit>>) {
        self.layer.limits(limits);
        self.handler.limits(limits);
    }
}

/// One that is there for some requests only.
struct Selective {
    when: When,
    layer: Arc<dyn Layer>,
    handler: Arc<dyn Handler>,
}

impl Handler for Selective {
    fn call(&self, request: Request) -> Answer<'_> {
        if self.when.selects(&request) {
            self.layer.call(request, Next::new(&*self.handler))
        } else {
            self.handler.call(request)
        }
    }

    fn needs_runtime(&self) -> bool {
        self.layer.needs_runtime() || self.handler.needs_runtime()
    }

    fn limits(&self, limits: &mut Vec<Arc<Limit>>) {
        self.layer.limits(limits);
        self.handler.limits(limits);
    }
}
