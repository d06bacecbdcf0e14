//! One target with its connections: a request goes out, a response comes back, or the reason why there is none.

use std::mem;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use onion::{Body, OptionError};

use super::connect::Connector;
use super::failure::Failure;
use super::link::{Due, Link};
use super::options::Forwarding;
use super::pool::Pool;
use super::request_head::RequestHeads;
use super::response_head;
use super::target::Target;
use super::upload::Upload;

/// One target with its connections.
pub(crate) struct Upstream {
    target: Target,
    options: Arc<Forwarding>,
    heads: Arc<RequestHeads>,
    connector: Connector,
    pool: Pool,
}

/// A response, with the connection that its body comes on.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) link: Box<Link>,
}

impl Upstream {
    pub(crate) fn new(
        target: Target,
        options: &Arc<Forwarding>,
        heads: &Arc<RequestHeads>,
    ) -> Result<Self, OptionError> {
        Ok(Upstream {
            connector: Connector::new(&target, options)?,
            pool: Pool::new(options.pool, options.pool_timeout.0),
            target,
            options: Arc::clone(options),
            heads: Arc::clone(heads),
        })
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The target as it was written.
    pub(crate) fn name(&self) -> &str {
        &self.target.text
    }

    pub(crate) fn options(&self) -> &Forwarding {
        &self.options
    }

    /// Sends the request on. Its body is taken out of `body` when it is begun with; as long as that has not happened,
    /// the request may be sent elsewhere.
    ///
    /// A kept connection may turn out to be closed. If the target can't have acted on the request, or acting twice
    /// does no harm, it goes out again on a new one (RFC 9112 section 9.3.1).
    pub(crate) async fn exchange(
        &self,
        parts: &Parts,
        body: &mut Option<Body>,
        due: &mut Due,
    ) -> Result<Answer, Failure> {
        let repeatable = is_idempotent(&parts.method) && is_empty(body.as_ref());
        let mut kept = self.pool.take(!repeatable);
        loop {
            let was_kept = kept.is_some();
            let mut link = match kept.take() {
                Some(link) => link,
                // Boxed, so that requests on kept connections do not carry the room for it.
                None => Box::pin(self.connect(due)).await?,
            };
            let patience = self.options.first_byte_timeout.0;
            let unanswered = match link.send(self.request(parts, body)?, patience, due).await {
                Ok(response) => {
                    response_head::check(&response, parts)?;
                    return Ok(Answer { response, link });
                }
                Err(unanswered) => unanswered,
            };
            let unsent = unanswered.unsent.is_some();
            *body = unanswered.unsent.map(Upload::into_body).or_else(|| repeatable.then(Body::empty));
            if !was_kept || !(unsent || repeatable) || !matches!(unanswered.failure, Failure::Closed) {
                return Err(unanswered.failure);
            }
            self.pool.clear();
        }
    }

    /// Keeps a connection whose response is done.
    pub(crate) fn keep(&self, link: Box<Link>) {
        self.pool.give(link);
    }

    async fn connect(&self, due: &mut Due) -> Result<Box<Link>, Failure> {
        let connected = async { Link::new(self.connector.connect().await?).await };
        due.bound(connected).await?
    }

    fn request(&self, parts: &Parts, body: &mut Option<Body>) -> Result<Request<Upload>, Failure> {
        let (uri, headers) = self.heads.of(parts, &self.target, body.as_ref().and_then(Body::length))?;
        let limit = self.options.max_body.map_or(u64::MAX, |size| size.0);
        let mut request = Request::new(Upload::new(mem::take(body).unwrap_or_default(), limit));
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// Whether acting on it twice is as good as once (RFC 9110 section 9.2.2).
pub(crate) fn is_idempotent(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::TRACE].contains(method)
}

/// Whether there is a body that is known to be empty, and so can be sent again.
fn is_empty(body: Option<&Body>) -> bool {
    body.is_some_and(|body| body.length() == Some(0))
}
