//! What all connections of a server share, and the first choice of who answers a request.

use std::sync::Arc;

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use http1::Rejection;
use onion::{Answer, BodyBudget, Handler, Request, Response, Room, answer};

use crate::Config;
use crate::admission::Admission;
use crate::health::Health;
use crate::heartbeat::Heartbeat;
use crate::metrics::{Incidents, MetricsOnSite};
use crate::outbox::Flusher;
use crate::rejections::{ErrorPages, rejected};
use crate::seeing::Seeing;
use crate::serve::Given;
use crate::stop::StopHandle;
use crate::tally::Tally;

/// What all connections of a server share.
pub(crate) struct Shared {
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) config: Config,
    pub(crate) stop: StopHandle,
    pub(crate) admission: Arc<Admission>,
    pub(crate) incidents: Arc<Incidents>,
    /// Whether a connection ends after its first response.
    pub(crate) once: bool,
    pub(crate) flusher: Flusher,
    /// How far applications may be ahead of their clients.
    pub(crate) room: Room,
    pub(crate) heartbeat: Heartbeat,
    /// What request bodies may take together.
    pub(crate) bodies: BodyBudget,
    pub(crate) health: Option<Health>,
    /// None where the site has no path for them.
    pub(crate) metrics: Option<MetricsOnSite>,
    /// Whether somebody looks on, or the time of requests is limited.
    pub(crate) takes_notes: bool,
    /// None where nobody looks on.
    pub(crate) seeing: Option<Arc<Seeing>>,
    /// Counts requests, in a worker.
    pub(crate) tally: Option<Arc<Tally>>,
    /// Pages for requests that are rejected before any layer sees them, instead of a line of text.
    pub(crate) error_pages: Option<Arc<ErrorPages>>,
    /// What handlers find in [`onion::Connection::shared`].
    pub(crate) given: Option<Given>,
}

impl Shared {
    /// The response to a request that no layer sees.
    #[cold]
    pub(crate) fn reject(&self, rejection: &Rejection) -> Response {
        rejected(self.error_pages.as_deref(), rejection.status, rejection.reason)
    }

    /// The response to a request of an address that has too many in flight.
    #[cold]
    pub(crate) fn reject_crowd(&self) -> Answer<'_> {
        let reason = "too many requests at once from this address";
        let mut response = self.reject(&Rejection { status: StatusCode::TOO_MANY_REQUESTS, reason });
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        answer(response)
    }

    /// Begins the answer to `request`.
    #[inline]
    pub(crate) fn call(&self, request: Request) -> Answer<'_> {
        match (&self.health, &self.metrics) {
            (Some(health), _) if health.is_asked(&request) => health.answer(&request),
            (_, Some(metrics)) if metrics.is_asked(&request) => metrics.answer(&request),
            _ => self.handler.call(request),
        }
    }
}
