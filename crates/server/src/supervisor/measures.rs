//! The numbers of all workers, added up for scrapers.
//!
//! Promises: a counter never goes back. What a worker that has ended was last known to have counted stays in the sum;
//! one that ends by itself tells its last numbers first. So that little is lost with one that is killed, all are asked
//! once a second, besides whenever somebody scrapes.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use onion::report;
use tokio::sync::mpsc;

use super::Supervisor;
use super::message::ToWorker;
use super::places::Places;
use super::recycle::Cause;
use super::worker::{Stage, Worker};
use crate::metrics::{
    ASKING, ListenQueues, Numbers, Scraper, Scraping, Snapshot, Told, WorkersTold, tell_where,
};
use crate::tls::Tls;
use crate::{Bind, Config};

/// What is known of the workers, and who asks.
pub(crate) struct Measures {
    /// Where scrapers ask.
    pub(super) places: Places,
    /// Where it was last said that they may.
    told: Vec<Bind>,
    scraping: Option<Scraping>,
    sender: Option<mpsc::Sender<Scraper>>,
    /// Those who have asked, and when they are answered at the latest.
    waiting: Vec<(Instant, Asking)>,
    /// When workers are asked next.
    next: Instant,
    since: SystemTime,
    /// What workers have counted that are no more.
    ended: Snapshot,
    restarts: Vec<(Cause, u64)>,
    reloaded: u64,
    reloads_failed: u64,
}

/// Who wants to know all numbers.
pub(super) enum Asking {
    /// Somebody at one of the supervisor's places.
    Here(Scraper),
    /// A worker, for those who ask on its site; with the number of its question.
    Worker(u32, u64),
}

/// How often workers are asked.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long a scraper waits for workers that do not answer: then it is told what was last known of them.
const PATIENCE: Duration = Duration::from_millis(500);

impl Measures {
    pub(super) fn new(places: Places) -> Self {
        Measures {
            places,
            told: Vec::new(),
            scraping: None,
            sender: None,
            waiting: Vec::new(),
            next: Instant::now(),
            since: SystemTime::now(),
            ended: Snapshot::default(),
            restarts: Cause::NAMES.map(|(cause, _)| (cause, 0)).to_vec(),
            reloaded: 0,
            reloads_failed: 0,
        }
    }

    /// Begins to answer scrapers, within a runtime: they ask at what is returned.
    pub(super) fn open(&mut self, config: &Config) -> mpsc::Receiver<Scraper> {
        let (sender, asked) = mpsc::channel(ASKING);
        self.sender = Some(sender);
        self.serve(self.places.clone(), config);
        asked
    }

    /// Answers scrapers at `places`, and no longer where it did before.
    pub(super) fn serve(&mut self, places: Places, config: &Config) {
        self.places = places;
        self.scraping = None;
        let listeners = self.places.all();
        let Some(sender) = self.sender.clone().filter(|_| !listeners.is_empty()) else { return };
        let begun = Tls::load(config).map_err(|error| error.to_string()).and_then(|tls| {
            let numbers = Numbers::OfWorkers(sender);
            let tls = tls.map(Arc::new);
            Scraping::begin(listeners, config, tls.as_ref(), numbers).map_err(|error| error.to_string())
        });
        match begun {
            Ok(scraping) => {
                self.scraping = Some(scraping);
                let bound = self.places.bound();
                if bound != self.told {
                    tell_where(&bound);
                    self.told = bound;
                }
            }
            // The site is served all the same.
            Err(error) => report(&format!("no metrics can be told: {error}")),
        }
    }

    /// Answers scrapers no longer. Tells where it would have.
    pub(super) fn leave_places(&mut self) -> Places {
        self.scraping = None;
        std::mem::take(&mut self.places)
    }

    /// A worker has ended.
    pub(super) fn ended(&mut self, worker: &Worker) {
        self.ended += &worker.measured.clone().of_the_ended();
    }

    /// A worker was replaced, or has to be.
    pub(super) fn replaced(&mut self, cause: Cause) {
        if let Some((_, count)) = self.restarts.iter_mut().find(|(each, _)| *each == cause) {
            *count += 1;
        }
    }

    /// A reload is over.
    pub(super) fn reloaded(&mut self, failed: bool) {
        *(if failed { &mut self.reloads_failed } else { &mut self.reloaded }) += 1;
    }
}

impl Supervisor<'_> {
    /// A scraper asks.
    pub(super) fn scraped(&mut self, asking: Asking) {
        self.workers.values_mut().for_each(Worker::ask_measures);
        self.measures.waiting.push((Instant::now() + PATIENCE, asking));
    }

    /// Whether somebody may ask.
    fn is_measured(&self) -> bool {
        self.measures.scraping.is_some() || self.plan.config.metrics_path.get().is_some()
    }

    /// When there is something to measure, or to tell.
    pub(super) fn measures_due(&self) -> Option<Instant> {
        let measures = &self.measures;
        let due = measures.waiting.iter().map(|(due, _)| *due);
        due.chain(self.is_measured().then_some(measures.next)).min()
    }

    /// Asks workers when it is time, and tells scrapers when all is known, or their time is over.
    pub(super) fn measure(&mut self, now: Instant) {
        if self.is_measured() && self.measures.next <= now {
            self.measures.next = now + ASK_AGAIN;
            self.workers.values_mut().for_each(Worker::ask_measures);
        }
        let is_known = self.workers.values().all(|worker| worker.hung_up || !worker.owes_measures);
        let waiting = &self.measures.waiting;
        if waiting.is_empty() || !(is_known || waiting.iter().any(|(due, _)| *due <= now)) {
            return;
        }
        let told = Told {
            since: self.measures.since,
            numbers: self.measured(),
            queues: ListenQueues::of(self.places.all()).lengths(),
            workers: Some(self.told_of_workers()),
        };
        let text = told.to_string();
        let bytes = Bytes::from(text.clone());
        for (_, asking) in self.measures.waiting.drain(..) {
            match asking {
                // Who hung up has nobody to be told.
                Asking::Here(scraper) => drop(scraper.send(bytes.clone())),
                Asking::Worker(pid, number) => {
                    if let Some(worker) = self.workers.get(&pid) {
                        worker.tell(&ToWorker::Metrics { number, text: text.clone() });
                    }
                }
            }
        }
    }

    /// The numbers of all workers, those that have ended included.
    fn measured(&self) -> Snapshot {
        let mut sum = self.measures.ended.clone();
        for worker in self.workers.values() {
            sum += &worker.measured;
        }
        sum
    }

    fn told_of_workers(&self) -> WorkersTold {
        let measures = &self.measures;
        let at = |stage: Stage| self.workers.values().filter(|worker| worker.stage == stage).count() as u64;
        let name = |cause: Cause| Cause::NAMES.iter().find(|(each, _)| *each == cause).map_or("", |it| it.1);
        WorkersTold {
            workers: vec![
                ("booting", at(Stage::Booting)),
                ("ready", at(Stage::Ready)),
                ("serving", at(Stage::Serving)),
                ("draining", at(Stage::Draining)),
                ("failed", at(Stage::Failed)),
            ],
            restarts: measures.restarts.iter().map(|(cause, count)| (name(*cause), *count)).collect(),
            generation: self.generation,
            reloaded: measures.reloaded,
            reloads_failed: measures.reloads_failed,
            last_reload: self.last_reload.as_ref().map(|last| (last.at, last.failed.clone())),
        }
    }
}
