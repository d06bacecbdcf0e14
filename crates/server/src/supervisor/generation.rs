//! Generations of workers: who is started, who takes over, who drains.

use std::io;
use std::iter;
use std::time::Instant;

use onion::{logs_application, report_error};

use super::control::Amiss;
use super::message::ToWorker;
use super::places::Places;
use super::plan::Plan;
use super::recycle::{Cause, Retirement, retires};
use super::tickets::tell_tickets;
use super::worker::{Stage, Worker, start};
use super::{BootFailure, Phase, Supervisor, say};
use crate::seeing::change_error_log;

/// A generation on its way.
#[derive(Debug)]
pub(crate) struct Coming {
    pub(crate) generation: u64,
    pub(crate) plan: Plan,
    places: Places,
    /// Those that scrapers ask at.
    scraped: Places,
    since: Instant,
    /// What it would serve, for people.
    pub(crate) about: String,
}

impl Supervisor<'_> {
    /// Reads the plan anew, and starts a generation of it beside the one that serves.
    pub(super) fn reload(&mut self) {
        if self.phase != Phase::Serving {
            return;
        }
        if self.coming.is_some() || self.successor.is_some() {
            self.reload_again = true;
            return;
        }
        if self.generation > 0 {
            self.notify.reloading();
        }
        let plan = (self.source)().and_then(|plan| {
            let config = &plan.config;
            let places = self.places.succeeded(&config.bind, config, &self.handed);
            let places = places.map_err(|error| error.to_string())?;
            let scraped = self.measures.places.succeeded(&config.metrics_bind, config, &self.handed);
            Ok((places, scraped.map_err(|error| error.to_string())?, plan))
        });
        match plan {
            Ok((places, scraped, plan)) => self.start_generation(&plan, &places, scraped),
            Err(reason) => self.reload_failed(&reason, ""),
        }
    }

    /// A file that the serving generation was made of has changed, or the one that is coming: no need to wait for that.
    pub(super) fn changed(&mut self, file: &str) {
        if self.phase == Phase::Serving {
            say(&format!("{file} has changed: reloading"));
            self.abandon_coming();
            self.reload_again = false;
            self.reload_replies.append(&mut self.next_reload_replies);
            self.reload();
        }
    }

    /// Starts all workers of a new generation.
    pub(super) fn start_generation(&mut self, plan: &Plan, places: &Places, scraped: Places) {
        self.last_generation += 1;
        let generation = self.last_generation;
        let number = plan.config.workers.number().max(1);
        let (since, about) = (Instant::now(), String::new());
        let (plan_of_it, places_of_it) = (plan.clone(), places.clone());
        self.coming =
            Some(Coming { generation, plan: plan_of_it, places: places_of_it, scraped, since, about });
        for _ in 0..number {
            if let Err(error) = self.start_worker(plan, places, generation, None) {
                return self.coming_failed(&error, "");
            }
        }
    }

    fn start_worker(
        &mut self,
        plan: &Plan,
        places: &Places,
        generation: u64,
        replaces: Option<u32>,
    ) -> Result<(), String> {
        let refused = |error: io::Error| format!("a worker could not be started: {error}");
        if plan.config.preload {
            return self.ask_fork_server(plan, places, generation, replaces).map_err(refused);
        }
        let (pid, channel) = start(&mut plan.command(), &places.all(), false).map_err(refused)?;
        let due = Instant::now() + plan.config.boot_timeout.0;
        let mut worker = Worker::booting(pid, channel, generation, due);
        worker.replaces = replaces;
        self.workers.insert(pid, worker);
        Ok(())
    }

    /// A worker has become ready.
    pub(super) fn is_ready(&mut self, pid: u32, about: String) {
        let Some(worker) = self.workers.get_mut(&pid).filter(|worker| worker.stage == Stage::Booting) else {
            return;
        };
        worker.stage = Stage::Ready;
        worker.due = None;
        match &mut self.coming {
            Some(coming) if coming.generation == worker.generation => {
                coming.about = about;
                self.take_over();
            }
            _ => self.succeed(pid),
        }
    }

    /// A single worker of the serving generation takes its place.
    fn succeed(&mut self, pid: u32) {
        self.backoff.forget();
        let replaced = self.start_serving(pid);
        let due = self.drained_by();
        if let Some(old) = replaced.and_then(|old| self.workers.get_mut(&old)) {
            let retirement = old.retiring.take();
            old.drain(due);
            if let Some(Retirement { cause, reason }) = retirement {
                self.measures.replaced(cause);
                say(&format!("worker {pid} serves in place of {}: {reason}", old.pid));
            }
        }
    }

    /// Has a worker serve that is ready. Tells whom it replaces.
    fn start_serving(&mut self, pid: u32) -> Option<u32> {
        let now = Instant::now();
        let worker = self.workers.get_mut(&pid)?;
        worker.stage = Stage::Serving;
        worker.serving_since = Some(now);
        // It gives beats from now on, if it can.
        worker.beat = worker.beat.map(|_| now);
        worker.retires = retires(&self.plan.config, now);
        tell_tickets(self.tickets.as_ref(), &self.plan.config, worker);
        worker.tell(&ToWorker::Serve);
        worker.replaces.take()
    }

    /// When all workers of the coming generation are ready, they serve, and those before them drain.
    fn take_over(&mut self) {
        let Some(coming) = &self.coming else { return };
        let own = |worker: &&Worker| worker.generation == coming.generation;
        let are_ready = self.workers.values().filter(own).all(|worker| worker.stage == Stage::Ready);
        if !are_ready || self.unborn(coming.generation) > 0 {
            return;
        }
        let pids: Vec<u32> = self.workers.values().filter(own).map(|worker| worker.pid).collect();
        let coming = self.coming.take().expect("it was there above");
        let due = self.drained_by();
        let is_first = self.generation == 0;
        self.generation = coming.generation;
        change_error_log(&self.plan.config, &coming.plan.config);
        self.change_pid_file(&coming.plan.config);
        self.plan = coming.plan;
        self.places = coming.places;
        self.changes.follow(&self.plan);
        self.measures.serve(coming.scraped, &self.plan.config);
        self.backoff.forget();
        for pid in &pids {
            self.start_serving(*pid);
        }
        for worker in self.workers.values_mut().filter(|worker| worker.generation != coming.generation) {
            match worker.stage {
                Stage::Serving => worker.drain(due),
                Stage::Booting | Stage::Ready => worker.kill(),
                Stage::Draining | Stage::Failed => {}
            }
        }
        self.end_fork_servers(Some(self.generation));
        if self.predecessor.is_some() {
            // To systemd it is the other one who says so.
            self.take_over_from_predecessor();
        } else {
            self.notify.ready(&format!("generation {} serves", self.generation));
        }
        if is_first {
            // What is served, and where: said by the application's side, which knows its layers.
            say_about(&coming.about);
            self.answer_reload(None);
        } else {
            self.reply_reload(None);
            let took = coming.since.elapsed().as_secs_f64();
            let pids = pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            say(&format!(
                "reloaded in {took:.1}s: generation {} serves, with workers {pids}",
                self.generation
            ));
        }
        self.reload_ended();
    }

    /// A worker can't become ready.
    pub(super) fn boot_failed(&mut self, pid: u32, reason: &str, details: &str) {
        let Some(worker) = self.workers.get_mut(&pid).filter(|worker| worker.is_booting()) else { return };
        worker.stage = Stage::Failed;
        let generation = worker.generation;
        self.generation_failed(generation, reason, details);
    }

    /// The fork server of `generation` can't fork the workers that are wanted of it, `places` in number.
    pub(super) fn fork_server_failed(&mut self, generation: u64, places: usize, reason: &str, details: &str) {
        if self.coming.as_ref().is_some_and(|coming| coming.generation == generation) {
            return self.coming_failed(reason, details);
        }
        self.places_failed(places, reason, details);
    }

    /// A worker of `generation` could not become ready.
    pub(super) fn generation_failed(&mut self, generation: u64, reason: &str, details: &str) {
        if self.coming.as_ref().is_some_and(|coming| coming.generation == generation) {
            return self.coming_failed(reason, details);
        }
        self.places_failed(1, reason, details);
    }

    /// Workers for so many places of the serving generation could not become ready.
    fn places_failed(&mut self, places: usize, reason: &str, details: &str) {
        self.measures.replaced(Cause::NotReady);
        self.amiss = Some(Amiss::now(reason));
        let wait = self.backoff.failed(places, Instant::now()).as_secs_f64();
        report_error(&format!("{reason}; the next try is in {wait:.1}s"), details);
    }

    /// The coming generation won't take over: it ends, and the one that serves goes on.
    fn coming_failed(&mut self, reason: &str, details: &str) {
        self.abandon_coming();
        if self.generation == 0 && (self.predecessor.is_some() || !self.plan.config.reload) {
            self.leave_to_predecessor(reason);
            if logs_application() {
                // Otherwise whoever started it tells it at the same place.
                report_error(reason, details);
            }
            self.failure = Some(BootFailure { reason: reason.to_owned(), details: details.to_owned() });
            self.phase = Phase::Stopping;
        } else {
            self.reload_failed(reason, details);
        }
    }

    fn reload_failed(&mut self, reason: &str, details: &str) {
        let outcome = match self.generation {
            0 => "not started, a change is waited for".to_owned(),
            generation => format!("reload failed, generation {generation} goes on"),
        };
        report_error(&format!("{outcome}: {reason}"), details);
        if self.generation > 0 {
            self.notify.ready(&format!("a reload failed: {reason}"));
        }
        self.reply_reload(Some(reason.to_owned()));
        self.reload_ended();
    }

    /// One reload is over; the one that was asked for meanwhile begins.
    pub(super) fn reload_ended(&mut self) {
        if std::mem::take(&mut self.reload_again) {
            self.reload();
        }
    }

    /// Ends the workers of the coming generation, none of which has served.
    pub(super) fn abandon_coming(&mut self) {
        let Some(coming) = self.coming.take() else { return };
        self.end_fork_server(coming.generation);
        for worker in self.workers.values_mut().filter(|worker| worker.generation == coming.generation) {
            worker.stage = Stage::Failed;
            worker.kill();
        }
    }

    /// Starts the workers that the serving generation lacks, and the successors of those that retire.
    pub(super) fn fill(&mut self, now: Instant) {
        if self.phase != Phase::Serving || self.generation == 0 {
            return;
        }
        let own = |worker: &&Worker| worker.generation == self.generation && worker.counts();
        let there = self.workers.values().filter(own).filter(|worker| worker.replaces.is_none()).count();
        let there = there + self.unborn(self.generation);
        let missing = self.plan.config.workers.number().max(1).saturating_sub(there);
        let has_successor = |pid: u32| {
            self.is_to_be_replaced(pid) || self.workers.values().any(|worker| worker.replaces == Some(pid))
        };
        let retiring = self.workers.values().filter(own).filter(|worker| {
            // A reload brings it a successor anyway.
            self.coming.is_none() && worker.retiring.is_some() && !has_successor(worker.pid)
        });
        let retiring: Vec<u32> = retiring.map(|worker| worker.pid).collect();
        let (plan, places) = (self.plan.clone(), self.places.clone());
        let wanted = iter::repeat_n(None, missing).chain(retiring.into_iter().map(Some));
        let now_wanted = wanted.clone().count().saturating_sub(self.backoff.paused(now));
        for replaces in wanted.take(now_wanted) {
            if let Err(reason) = self.start_worker(&plan, &places, self.generation, replaces) {
                let wait = self.backoff.failed(1, now);
                let what = format!("{reason}; the next try is in {:.1}s", wait.as_secs_f64());
                self.amiss = Some(Amiss::now(&reason));
                return report_error(&what, "");
            }
        }
    }
}

fn say_about(about: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{about}");
}
