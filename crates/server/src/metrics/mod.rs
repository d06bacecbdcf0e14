//! The numbers of one process, for Prometheus and its like: plain atomics, added to when a request or a connection ends.
//!
//! They are read as a [`Snapshot`], which can be sent to another process and added up there. Where no metrics are asked
//! for there are none, and nothing is counted.

mod exposition;
mod histogram;
mod incidents;
mod listen_queue;
mod on_site;
mod page;
mod path;
mod scraping;
mod snapshot;
mod told;
mod workers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use onion::{BodyBudget, Held, Room};

use crate::health::Loaded;
use crate::seeing::{AccessLog, End, Entry};
use crate::supervisor::recycle::memory;
use histogram::Histogram;
pub(crate) use incidents::{Incident, Incidents};
pub(crate) use listen_queue::ListenQueues;
pub(crate) use on_site::MetricsOnSite;
pub(crate) use page::{ASKING, Numbers, PATIENCE, Scraper};
pub use path::MetricsPath;
pub(crate) use scraping::{Scraping, tell_where};
pub use snapshot::{Buckets, Snapshot};
pub(crate) use told::Told;
pub(crate) use workers::WorkersTold;

/// What is counted in a process that serves.
pub struct Metrics {
    /// By method, then by status.
    requests: Vec<AtomicU64>,
    /// By how they ended; those that are whole are not counted here.
    aborted: [AtomicU64; ENDS.len()],
    in_flight: AtomicU64,
    connections: AtomicU64,
    accepted: AtomicU64,
    sent: AtomicU64,
    duration: Histogram,
    first_byte: Histogram,
    queued: Histogram,
    interpreter: Histogram,
    size: Histogram,
    received: Histogram,
    since: SystemTime,
    others: Others,
}

/// What counts by itself, and is asked when the numbers are told.
#[derive(Clone)]
pub(crate) struct Others {
    pub(crate) loaded: Option<Arc<dyn Loaded>>,
    pub(crate) access_log: Option<Arc<AccessLog>>,
    pub(crate) incidents: Arc<Incidents>,
    /// The most connections that there may be.
    pub(crate) most: usize,
    pub(crate) queues: ListenQueues,
    /// Where responses are put aside.
    pub(crate) room: Room,
    /// What request bodies take.
    pub(crate) bodies: BodyBudget,
}

/// The methods that are told apart; others are the client's to make up, and so are one.
const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "other"];

/// Statuses from 100 on.
const STATUSES: usize = 500;

const ENDS: [End; 5] = [End::ClientGone, End::WriteTimeout, End::Failed, End::RequestTimeout, End::Stopped];

/// In microseconds.
const TIMES: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

/// In microseconds: waits that are normal are short.
const WAITS: &[u64] =
    &[10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 30_000_000];

/// In bytes.
const SIZES: &[u64] = &[128, 1_024, 8_192, 65_536, 1 << 20, 8 << 20, 64 << 20, 512 << 20];

impl Metrics {
    pub(crate) fn new(others: Others) -> Self {
        Metrics {
            requests: (0..METHODS.len() * STATUSES).map(|_| AtomicU64::new(0)).collect(),
            aborted: Default::default(),
            in_flight: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            duration: Histogram::new(TIMES),
            first_byte: Histogram::new(TIMES),
            queued: Histogram::new(WAITS),
            interpreter: Histogram::new(WAITS),
            size: Histogram::new(SIZES),
            received: Histogram::new(SIZES),
            since: SystemTime::now(),
            others,
        }
    }

    /// A request has come.
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// A request has ended.
    pub(crate) fn end(&self, entry: &Entry, duration: Duration) {
        self.in_flight.fetch_sub(1, Relaxed);
        let method = entry.line.as_ref().map(|line| &line.method);
        self.requests[place(method, entry.status())].fetch_add(1, Relaxed);
        if let Some(end) = ENDS.iter().position(|end| *end == entry.end) {
            self.aborted[end].fetch_add(1, Relaxed);
        }
        self.sent.fetch_add(entry.meter.sent(), Relaxed);
        self.size.add(entry.meter.body());
        self.received.add(entry.meter.received());
        self.duration.add_time(duration);
        if let Some(first) = entry.first_byte() {
            self.first_byte.add_time(first);
        }
        if let Some(queued) = entry.notes.queued() {
            self.queued.add_time(queued);
        }
        if let Some(interpreter) = entry.notes.interpreter() {
            self.interpreter.add_time(interpreter);
        }
    }

    /// All that there is to tell of this process.
    pub(crate) fn told(&self) -> Told {
        let (numbers, queues) = (self.snapshot(), self.others.queues.lengths());
        Told { since: self.since, numbers, queues, workers: None }
    }

    /// The numbers as they are now.
    pub fn snapshot(&self) -> Snapshot {
        let mut requests = Vec::new();
        for (place, count) in self.requests.iter().enumerate() {
            let count = count.load(Relaxed);
            if count > 0 {
                let status = u16::try_from(place % STATUSES).unwrap_or_default() + 100;
                requests.push((METHODS[place / STATUSES].to_owned(), status, count));
            }
        }
        let aborted = ENDS
            .iter()
            .zip(&self.aborted)
            .map(|(end, count)| (end.cause().unwrap_or_default().to_owned(), count.load(Relaxed)));
        let others = &self.others;
        let load = others.loaded.as_ref().map(|loaded| loaded.load()).unwrap_or_default();
        let (in_flight, connections) = (self.in_flight.load(Relaxed), self.connections.load(Relaxed));
        Snapshot {
            requests,
            aborted: aborted.collect(),
            in_flight,
            connections,
            // On a connection of HTTP/2 there may be several.
            active: in_flight.min(connections),
            accepted: self.accepted.load(Relaxed),
            sent: self.sent.load(Relaxed),
            calls: load.calls as u64,
            threads: load.threads as u64,
            waiting: load.waiting as u64,
            refused: load.refused,
            expired: load.expired,
            limits: others.loaded.as_ref().map(|loaded| loaded.limits()).unwrap_or_default(),
            log_lost: others.access_log.as_ref().map_or(0, |log| log.lost()),
            incidents: others.incidents.told(),
            most: others.most as u64,
            body_memory: others.bodies.in_memory(),
            body_memory_most: others.bodies.memory(),
            spool_most: others.bodies.file(),
            spooled_requests: Held::Requests.bytes(),
            spooled_responses: Held::Responses.bytes() + others.room.in_files(),
            cpu: cpu_time(),
            memory: memory(std::process::id()).unwrap_or_default(),
            duration: self.duration.buckets(),
            first_byte: self.first_byte.buckets(),
            queued: self.queued.buckets(),
            interpreter: self.interpreter.buckets(),
            size: self.size.buckets(),
            received: self.received.buckets(),
        }
    }
}

/// The time that this process has computed, in microseconds.
fn cpu_time() -> u64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
        let time = usage.user_time() + usage.system_time();
        u64::try_from(time.num_microseconds()).unwrap_or_default()
    })
}

fn place(method: Option<&Method>, status: StatusCode) -> usize {
    let name = method.map_or("", Method::as_str);
    let method = METHODS.iter().position(|each| *each == name).unwrap_or(METHODS.len() - 1);
    method * STATUSES + usize::from(status.as_u16()).saturating_sub(100).min(STATUSES - 1)
}

/// A connection that is counted, until it is dropped.
pub(crate) struct Counted(Arc<Metrics>);

impl Counted {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.accepted.fetch_add(1, Relaxed);
        metrics.connections.fetch_add(1, Relaxed);
        Counted(Arc::clone(metrics))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Metrics")
    }
}
