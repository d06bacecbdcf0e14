//! The places that scrapers ask at. They are told while the site drains, too, and their connections are not the site's.

use std::io;
use std::sync::Arc;

use onion::inform;
use tokio::task::{JoinHandle, unconstrained};

use super::incidents::Incidents;
use super::page::{MetricsPage, Numbers};
use crate::accept::{Accepting, accept_all};
use crate::admission::Admission;
use crate::heartbeat::Heartbeat;
use crate::listen::{Listener, Speaks};
use crate::outbox::Flusher;
use crate::shared::Shared;
use crate::stop::StopHandle;
use crate::tls::Tls;
use crate::{Bind, Config};

/// Answers scrapers until it is dropped.
pub(crate) struct Scraping {
    stop: StopHandle,
    accepting: Vec<JoinHandle<()>>,
}

/// So many scrapers may be connected.
const MOST: usize = 64;

impl Scraping {
    /// Within a runtime.
    pub(crate) fn begin<'l>(
        listeners: impl IntoIterator<Item = &'l Listener>,
        config: &Config,
        tls: Option<&Arc<Tls>>,
        numbers: Numbers,
    ) -> io::Result<Self> {
        let stop = StopHandle::default();
        // Scrapers come by themselves, not through the balancers.
        let config = Config { proxy_protocol_from: Vec::new(), ..config.clone() };
        // What is no part of the site is neither logged nor counted.
        let incidents = Arc::<Incidents>::default();
        let shared = Arc::new(Shared {
            handler: Arc::new(MetricsPage(numbers)),
            room: config.room(),
            heartbeat: Heartbeat::default(),
            bodies: config.bodies(),
            config,
            stop: stop.clone(),
            admission: Admission::new(MOST, Arc::clone(&incidents), None),
            incidents,
            once: false,
            flusher: Flusher::default(),
            health: None,
            metrics: None,
            tally: None,
            given: None,
            error_pages: None,
            takes_notes: false,
            seeing: None,
        });
        let accepting = listeners.into_iter().map(|listener| {
            let tls = tls.filter(|_| listener.speaks == Speaks::Https).map(Arc::clone);
            let accepting = Accepting::new(listener, tls)?;
            Ok(tokio::spawn(unconstrained(accept_all(accepting, Arc::clone(&shared)))))
        });
        let accepting = accepting.collect::<io::Result<_>>()?;
        Ok(Scraping { stop, accepting })
    }
}

/// Says where metrics are told: the system may have chosen the port.
pub(crate) fn tell_where(places: &[Bind]) {
    let told = places.iter().map(|place| match place {
        Bind::Unix(..) => place.to_string(),
        _ if place.speaks() == Speaks::Https => format!("{place}/metrics"),
        _ => format!("http://{place}/metrics"),
    });
    if !places.is_empty() {
        inform(&format!("metrics are told on {}", told.collect::<Vec<_>>().join(", ")));
    }
}

impl Drop for Scraping {
    /// What is being told is told to its end.
    fn drop(&mut self) {
        self.stop.begin();
        self.accepting.iter().for_each(JoinHandle::abort);
    }
}
