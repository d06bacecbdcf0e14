//! The metrics on a path of the site itself, ahead of all layers and without Python, for the clients that may see them.
//!
//! Promises: to anybody else the path is the application's, so that nothing shows that it is there. With workers, each
//! tells the numbers of all: it asks the supervisor for them.

use onion::{AddressRange, Answer, Request};

use super::page::{Numbers, tell};
use crate::Config;
use crate::health::may_ask;

/// Answers who asks for the metrics.
pub(crate) struct MetricsOnSite {
    path: String,
    allowed: Vec<AddressRange>,
    numbers: Numbers,
}

impl MetricsOnSite {
    /// None where the site has no path for them.
    pub(crate) fn new(config: &Config, numbers: Option<Numbers>) -> Option<Self> {
        let path = config.metrics_path.get()?.to_owned();
        Some(MetricsOnSite { path, allowed: config.metrics_allow.clone(), numbers: numbers? })
    }

    /// Whether `request` asks for them, and may.
    #[inline]
    pub(crate) fn is_asked(&self, request: &Request) -> bool {
        request.uri().path() == self.path && may_ask(&self.allowed, request)
    }

    /// The answer to a request that asks.
    #[cold]
    pub(crate) fn answer(&self, request: &Request) -> Answer<'_> {
        let method = request.method().clone();
        Box::pin(async move { tell(&self.numbers, &method).await })
    }
}
