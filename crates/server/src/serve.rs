//! A server: what it listens on, who looks on, and its course from the first connection to the end of the last.

use std::any::Any;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use onion::{BodyBudget, Handler, Room};
use tokio::task::unconstrained;
use tokio::time::timeout;

use crate::accept::{Accepting, accept_all};
use crate::admission::{Addresses, Admission};
use crate::farewell::Farewell;
use crate::handed::HandedSockets;
use crate::health::{Health, Loaded};
use crate::heartbeat::Heartbeat;
use crate::listen::{Listener, Manner, Speaks};
use crate::metrics::{
    Incidents, ListenQueues, Metrics, MetricsOnSite, Numbers, Others, Scraping, tell_where,
};
use crate::outbox::Flusher;
use crate::redirect::Redirect;
use crate::rejections::ErrorPages;
use crate::seeing::{AccessLog, Seeing};
use crate::shared::Shared;
use crate::stop::StopHandle;
use crate::tally::Tally;
use crate::tls::{self, Tls};
use crate::tracing::Tracer;
use crate::{Bind, BindError, Config};

/// A server that is bound, and serves when it is told to.
pub struct Server {
    config: Config,
    listeners: Vec<Listener>,
    /// Those that scrapers ask at.
    scraped: Vec<Listener>,
    metrics: Option<Arc<Metrics>>,
    incidents: Arc<Incidents>,
    /// Whose numbers are told, if not this process's.
    numbers: Option<Numbers>,
    stop: StopHandle,
    given: Option<Given>,
    access_log: Option<Arc<AccessLog>>,
    tracer: Option<Arc<Tracer>>,
    loaded: Option<Arc<dyn Loaded>>,
    tls: Option<Arc<Tls>>,
    tally: Option<Arc<Tally>>,
    error_pages: Option<Arc<ErrorPages>>,
    room: Room,
    bodies: BodyBudget,
    heartbeat: Heartbeat,
}

/// What handlers find in [`onion::Connection::shared`].
pub(crate) type Given = Arc<dyn Any + Send + Sync>;

impl Server {
    /// Binds every place of the configuration.
    pub fn bind(config: Config) -> Result<Self, BindError> {
        Server::bind_handed(config, &HandedSockets::default())
    }

    /// The same, where some of the places may be sockets that were handed over.
    pub fn bind_handed(config: Config, handed: &HandedSockets) -> Result<Self, BindError> {
        let manner = Manner::of(&config);
        let open = |places: &[Bind]| {
            let opened = places.iter().map(|place| Listener::open(place, &manner, handed));
            Ok(opened.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        };
        let (listeners, scraped) = (open(&config.bind)?, open(&config.metrics_bind)?);
        Ok(Server::new(config, listeners, scraped))
    }

    /// Takes sockets that somebody else has bound, and keeps.
    pub fn inherit(config: Config, sockets: Vec<(OwnedFd, Bind)>) -> io::Result<Self> {
        let listeners = sockets
            .into_iter()
            .map(|(socket, place)| Listener::inherit(socket, &place))
            .collect::<io::Result<_>>()?;
        Ok(Server::new(config, listeners, Vec::new()))
    }

    fn new(config: Config, listeners: Vec<Listener>, scraped: Vec<Listener>) -> Self {
        Server {
            room: config.room(),
            bodies: config.bodies(),
            config,
            listeners,
            scraped,
            metrics: None,
            incidents: Arc::default(),
            numbers: None,
            stop: StopHandle::default(),
            given: None,
            access_log: None,
            tracer: None,
            loaded: None,
            tls: None,
            tally: None,
            error_pages: None,
            heartbeat: Heartbeat::default(),
        }
    }

    /// Accepts connections only while `heartbeat` beats.
    pub(crate) fn beating(mut self, heartbeat: Heartbeat) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Counts requests.
    pub(crate) fn counting(mut self, tally: Arc<Tally>) -> Self {
        self.tally = Some(tally);
        self
    }

    /// Tells `numbers` on the site's path for metrics.
    pub(crate) fn telling(mut self, numbers: Numbers) -> Self {
        self.numbers = Some(numbers);
        self
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn access_log(&self) -> Option<Arc<AccessLog>> {
        self.access_log.clone()
    }

    /// What befell connections.
    pub(crate) fn incidents(&self) -> Arc<Incidents> {
        Arc::clone(&self.incidents)
    }

    pub(crate) fn who_is_loaded(&self) -> Option<Arc<dyn Loaded>> {
        self.loaded.clone()
    }

    pub(crate) fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// What [`onion::Connection::shared`] is.
    pub(crate) fn given(&self) -> Option<Given> {
        self.given.clone()
    }

    /// Gives `shared` to every handler, in [`onion::Connection::shared`].
    #[must_use]
    pub fn sharing(mut self, shared: Arc<dyn Any + Send + Sync>) -> Self {
        self.given = Some(shared);
        self
    }

    /// Shares the room in which responses are put aside, and what request bodies may take, with whoever else needs them.
    #[must_use]
    pub fn within(mut self, room: Room, bodies: BodyBudget) -> Self {
        (self.room, self.bodies) = (room, bodies);
        self
    }

    /// Has every request written to `log`.
    #[must_use]
    pub fn logging(mut self, log: Option<Arc<AccessLog>>) -> Self {
        self.access_log = log;
        self
    }

    /// Has every request traced by `tracer`.
    #[must_use]
    pub fn tracing(mut self, tracer: Option<Arc<Tracer>>) -> Self {
        self.tracer = tracer;
        self
    }

    /// Has `loaded` say how busy the application is.
    #[must_use]
    pub fn loaded(mut self, loaded: Arc<dyn Loaded>) -> Self {
        self.loaded = Some(loaded);
        self
    }

    /// Speaks TLS, where it listens for `https`.
    #[must_use]
    pub fn speaking(mut self, tls: Option<Arc<Tls>>) -> Self {
        self.tls = tls;
        self
    }

    /// Responds with `pages` to requests that it rejects itself.
    #[must_use]
    pub fn rejecting_with(mut self, pages: Option<ErrorPages>) -> Self {
        self.error_pages = pages.map(Arc::new);
        self
    }

    /// The places that it listens on, with the ports that the system chose.
    pub fn bound(&self) -> Vec<Bind> {
        self.listeners.iter().map(Listener::bound).collect()
    }

    /// The places that metrics are told at.
    fn metrics_bound(&self) -> Vec<Bind> {
        self.scraped.iter().map(Listener::bound).collect()
    }

    /// What is counted, if metrics are asked for. To be called after [`logging`](Self::logging) and
    /// [`loaded`](Self::loaded).
    pub fn metrics(&mut self) -> Option<Arc<Metrics>> {
        if !self.config.is_measured() {
            return None;
        }
        let others = Others {
            loaded: self.loaded.clone(),
            access_log: self.access_log.clone(),
            incidents: Arc::clone(&self.incidents),
            most: self.config.connections.number(),
            queues: ListenQueues::of(&self.listeners),
            room: self.room.clone(),
            bodies: self.bodies.clone(),
        };
        Some(Arc::clone(self.metrics.get_or_insert_with(|| Arc::new(Metrics::new(others)))))
    }

    /// Stops the server, from anywhere.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Serves until the stop begins, then until the requests in flight are answered, or the graceful timeout is over.
    /// Tells whether all were answered.
    pub async fn serve(mut self, handler: Arc<dyn Handler>) -> io::Result<bool> {
        let metrics = self.metrics();
        let most = self.config.connections.number();
        let addresses = Addresses::new(&self.config, most, &self.incidents);
        let admission = Admission::new(most, Arc::clone(&self.incidents), addresses);
        let shared = self.shared(handler, &admission, false);
        let mut accepting = Vec::new();
        let scraping = metrics.map(|metrics| {
            Scraping::begin(&self.scraped, &self.config, self.tls.as_ref(), Numbers::Own(metrics))
        });
        let scraping = scraping.transpose()?;
        tell_where(&self.metrics_bound());
        let redirecting = self.redirecting(&admission);
        for listener in &self.listeners {
            let shared = if listener.speaks == Speaks::Redirect { &redirecting } else { &shared };
            let accepting_all = accept_all(self.accepting(listener)?, Arc::clone(shared));
            accepting.push(tokio::spawn(unconstrained(accepting_all)));
        }
        let looking = self.tls.as_ref().map(|tls| tokio::spawn(tls::look_after(Arc::clone(tls))));
        self.stop.begun().await;
        if let Some(looking) = looking {
            looking.abort();
        }
        for task in accepting {
            // A task that ended by a panic has been reported by the runtime.
            let _ = task.await;
        }
        drop(self.listeners);
        let farewell = Farewell {
            stop: &self.stop,
            loaded: self.loaded.as_deref(),
            bound: self.config.graceful_timeout,
            is_worker: self.tally.is_some(),
        };
        let graceful = farewell.wait().await;
        if !graceful {
            farewell.report_cut();
            self.stop.abort();
            // Those that wait for the network end now; a call into the application cannot be cut.
            let _ = timeout(ABORTING, self.stop.empty()).await;
        }
        drop(scraping);
        Ok(graceful)
    }

    /// Serves one connection's first request.
    pub async fn serve_one(&self, handler: Arc<dyn Handler>) -> io::Result<()> {
        let admission = Admission::new(usize::MAX, Arc::clone(&self.incidents), None);
        let shared = self.shared(handler, &admission, true);
        let listeners =
            self.listeners.iter().map(|listener| self.accepting(listener)).collect::<io::Result<Vec<_>>>()?;
        let accepted = poll_fn(|context| {
            let mut polled = listeners.iter().map(|listener| listener.poll_accept(context));
            polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
        });
        // Its own task: only there may the thread be held.
        accepted.await?.begin(&shared, None).await.map_err(io::Error::other)
    }

    fn accepting(&self, listener: &Listener) -> io::Result<Accepting> {
        let tls = match (listener.speaks, &self.tls) {
            (Speaks::Http | Speaks::Redirect, _) => None,
            (Speaks::Https, Some(tls)) => Some(Arc::clone(tls)),
            (Speaks::Https, None) => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "https without certificates"));
            }
        };
        Accepting::new(listener, tls)
    }

    fn shared(&self, handler: Arc<dyn Handler>, admission: &Arc<Admission>, once: bool) -> Arc<Shared> {
        let (access_log, metrics) = (self.access_log.clone(), self.metrics.clone());
        let tracer = self.tracer.clone();
        let numbers = self.numbers.clone().or_else(|| metrics.clone().map(Numbers::Own));
        let is_seen = access_log.is_some() || metrics.is_some() || tracer.is_some();
        Arc::new(Shared {
            handler,
            config: self.config.clone(),
            stop: self.stop.clone(),
            admission: Arc::clone(admission),
            incidents: Arc::clone(&self.incidents),
            once,
            flusher: Flusher::default(),
            room: self.room.clone(),
            bodies: self.bodies.clone(),
            heartbeat: self.heartbeat.clone(),
            health: Health::new(&self.config, self.stop.clone(), self.loaded.clone()),
            metrics: MetricsOnSite::new(&self.config, numbers),
            tally: self.tally.clone(),
            given: self.given.clone(),
            error_pages: self.error_pages.clone(),
            takes_notes: is_seen || self.config.request_timeout.0.is_some(),
            seeing: is_seen.then(|| Arc::new(Seeing { access_log, metrics, tracer })),
        })
    }

    /// For the places that only tell where HTTPS is: the first that there is.
    fn redirecting(&self, admission: &Arc<Admission>) -> Arc<Shared> {
        let ports = self.listeners.iter().filter_map(|listener| match listener.bound() {
            Bind::Https(_, port) => Some(port),
            _ => None,
        });
        let redirect = Redirect::to(ports.into_iter().next().unwrap_or(443));
        self.shared(Arc::new(redirect), admission, false)
    }
}

/// How long connections get to notice that they are aborted.
const ABORTING: Duration = Duration::from_millis(200);
