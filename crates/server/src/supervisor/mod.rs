//! The process that holds the listening sockets, and has workers serve on them.
//!
//! It binds once and never accepts. Workers are processes of their own that inherit the sockets; a generation of them
//! is started, proves that it is ready, and only then serves. Nothing of the application runs here, so nothing of it
//! can break this.
//!
//! `generation` decides who is started and who drains, `leaving` is its own end, `events` is what happens to it, `worker`
//! is one process, `fork_server` one that workers are forked from, `measures` adds up the numbers of all.

mod backoff;
mod changes;
pub(crate) mod channel;
mod control;
mod count;
mod events;
mod fork_server;
mod generation;
mod heartbeats;
mod leaving;
mod main_process;
mod measures;
pub(crate) mod message;
mod places;
mod plan;
mod pulse;
pub(crate) mod recycle;
mod tickets;
mod upgrade;
mod worker;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

pub use changes::FileGlob;
pub use count::Workers;
use onion::{inform, report};
pub use plan::{Plan, Source};
use tokio::time::sleep_until;

use self::backoff::Backoff;
use self::changes::Changes;
use self::control::{Amiss, Control, LastReload, Reply};
use self::events::Signals;
use self::fork_server::ForkServer;
use self::generation::Coming;
use self::heartbeats::Heartbeats;
use self::measures::{Asking, Measures};
use self::message::{FromForkServer, FromWorker};
use self::places::Places;
use self::pulse::Pulse;
use self::recycle::{Cause, Retirement};
pub use self::upgrade::Estate;
use self::upgrade::{FromSuccessor, Old, Predecessor, Successor};
use self::worker::{Ending, Stage, Worker};
use crate::tls::Rotation;
use crate::{Bind, BindError, HandedSockets, Notify, PidFile, Terminal};

/// A supervisor whose sockets are bound.
pub struct Supervisor<'a> {
    source: Source<'a>,
    /// What the serving generation was made of.
    plan: Plan,
    places: Places,
    handed: HandedSockets,
    /// By their process ids.
    workers: BTreeMap<u32, Worker>,
    /// By the generations that they fork.
    fork_servers: BTreeMap<u64, ForkServer>,
    /// The generation that serves; 0 before the first.
    generation: u64,
    /// The last generation that was started.
    last_generation: u64,
    coming: Option<Coming>,
    /// A reload was asked for while another one ran.
    reload_again: bool,
    backoff: Backoff,
    pid_file: Option<PidFile>,
    notify: Notify,
    pulse: Pulse,
    control: Places,
    /// The one that is to take over from this one, and the one that this one is to take over from.
    successor: Option<Successor>,
    predecessor: Option<Predecessor>,
    /// Those who have asked for the status, and when they are answered.
    status_replies: Vec<(Instant, Reply)>,
    /// Those who wait for the reload that runs, and for the one after it.
    reload_replies: Vec<Reply>,
    next_reload_replies: Vec<Reply>,
    last_reload: Option<LastReload>,
    /// What last befell a worker.
    amiss: Option<Amiss>,
    /// When memory is looked at next.
    memory_due: Instant,
    changes: Changes,
    heartbeats: Heartbeats,
    measures: Measures,
    /// The keys of TLS tickets; `None` if each worker has to have its own.
    tickets: Option<Rotation>,
    phase: Phase,
    terminal: Terminal,
    /// Why it could not start.
    failure: Option<BootFailure>,
    /// Whether some request was not answered.
    cut: bool,
}

/// What is heard; `None` when a channel has come to its end.
enum Told {
    Worker(u32, Option<FromWorker>),
    Successor(Option<FromSuccessor>),
    /// That of a generation.
    ForkServer(u64, Option<FromForkServer>),
}

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// Workers go on serving until then, while readiness is red.
    Leaving(Instant),
    Stopping,
}

/// Why no generation ever served.
#[derive(Clone, Debug)]
pub struct BootFailure {
    /// In one line.
    pub reason: String,
    /// The application's traceback, if there is one.
    pub details: String,
}

impl fmt::Display for BootFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)
    }
}

impl Error for BootFailure {}

impl<'a> Supervisor<'a> {
    /// Binds every place of the first plan. Further ones come from `source`, when it is reloaded.
    pub fn bind(plan: Plan, source: Source<'a>, handed: HandedSockets) -> Result<Self, BindError> {
        Supervisor::bind_beside(plan, source, handed, &Old::default())
    }

    fn bind_beside(
        plan: Plan,
        source: Source<'a>,
        handed: HandedSockets,
        old: &Old,
    ) -> Result<Self, BindError> {
        let places = old.places.succeeded(&plan.config.bind, &plan.config, &handed)?;
        let scraped = old.scraped.succeeded(&plan.config.metrics_bind, &plan.config, &handed)?;
        let control = Control::bind(plan.config.control.as_deref().map(Path::new), &old.control)?;
        Ok(Supervisor {
            places,
            handed,
            source,
            plan,
            workers: BTreeMap::new(),
            fork_servers: BTreeMap::new(),
            generation: 0,
            last_generation: 0,
            coming: None,
            reload_again: false,
            backoff: Backoff::default(),
            pid_file: None,
            notify: Notify::default(),
            pulse: Pulse::default(),
            control,
            successor: None,
            predecessor: None,
            status_replies: Vec::new(),
            reload_replies: Vec::new(),
            next_reload_replies: Vec::new(),
            last_reload: None,
            amiss: None,
            memory_due: Instant::now(),
            changes: Changes::default(),
            heartbeats: Heartbeats::begin(Instant::now()),
            measures: Measures::new(scraped),
            tickets: Rotation::begin(Instant::now()),
            phase: Phase::Serving,
            terminal: Terminal::of_this_process(),
            failure: None,
            cut: false,
        })
    }

    /// Tells systemd of what happens, at the socket that `NOTIFY_SOCKET` names; and that all is well, `within` the time
    /// of its watchdog.
    #[must_use]
    pub fn notifying(mut self, socket: Option<&str>, within: Option<Duration>) -> Self {
        self.notify = Notify::to(socket);
        self.pulse = Pulse::within(within);
        self
    }

    /// The places that workers serve, with the ports that the system chose.
    pub fn bound(&self) -> Vec<Bind> {
        self.places.bound()
    }

    /// Supervises until SIGINT or SIGTERM, within a runtime of one thread. Tells whether every request was answered.
    pub async fn run(mut self) -> io::Result<Result<bool, BootFailure>> {
        let mut signals = Signals::watch()?;
        let mut control = Control::new();
        let mut scrapers = self.measures.open(&self.plan.config);
        let (plan, places) = (self.plan.clone(), self.places.clone());
        let mut news = self.changes.begin(&plan);
        let before = self.predecessor.as_ref().map(|predecessor| predecessor.scraped.clone());
        let scraped = before.unwrap_or_else(|| self.measures.places.clone());
        self.start_generation(&plan, &places, scraped);
        loop {
            self.settle(Instant::now());
            if self.phase == Phase::Stopping && self.workers.is_empty() && self.fork_servers.is_empty() {
                return Ok(self.failure.map_or(Ok(!self.cut), Err));
            }
            let place = self.control.all().pop().filter(|_| self.predecessor.is_none());
            if place.is_some() != control.is_listening() {
                control.listen(place)?;
            }
            let due = self.next_due();
            tokio::select! {
                signal = signals.next() => self.signalled(signal),
                (ask, reply) = control.next() => self.asked(ask, reply),
                Some(file) = news.recv() => self.changes.seen(file, Instant::now()),
                Some(asking) = scrapers.recv() => self.scraped(Asking::Here(asking)),
                told = poll_fn(|context| self.poll_told(context)) => match told {
                    Told::Worker(pid, message) => self.told(pid, message),
                    Told::Successor(message) => self.told_by_successor(message),
                    Told::ForkServer(generation, message) => self.told_by_fork_server(generation, message),
                },
                () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {}
            }
        }
    }

    /// What somebody says next.
    fn poll_told(&mut self, context: &mut Context<'_>) -> Poll<Told> {
        if let Some(successor) = self.successor.as_mut().filter(|successor| !successor.hung_up)
            && let Poll::Ready(message) = successor.channel.poll_receive(context)
        {
            successor.hung_up = message.is_none();
            return Poll::Ready(Told::Successor(message));
        }
        for (generation, server) in &mut self.fork_servers {
            if !server.hung_up
                && let Poll::Ready(message) = server.channel.poll_receive(context)
            {
                server.hung_up = message.is_none();
                return Poll::Ready(Told::ForkServer(*generation, message));
            }
        }
        for (pid, worker) in &mut self.workers {
            if worker.hung_up {
                continue;
            }
            if let Poll::Ready(message) = worker.channel.poll_receive(context) {
                worker.hung_up = message.is_none();
                return Poll::Ready(Told::Worker(*pid, message));
            }
        }
        Poll::Pending
    }

    /// When something is to be done though nothing happens.
    fn next_due(&self) -> Option<Instant> {
        let now = Instant::now();
        let leaving = match self.phase {
            Phase::Leaving(until) => Some(until),
            _ => None,
        };
        let workers = self.workers.values().flat_map(|worker| [worker.due, worker.retires]).flatten();
        workers
            .chain(leaving)
            .chain(self.successor.as_ref().map(|successor| successor.due))
            .chain(self.fork_servers_due())
            .chain(self.backoff.until(now))
            .chain(self.looks_at_memory())
            .chain(self.changes.due())
            .chain(self.measures_due())
            .chain(self.pulse.due())
            .chain(self.heartbeats_due())
            .chain(self.tickets.as_ref().map(Rotation::due))
            .chain(self.status_replies.iter().map(|(due, _)| *due))
            .min()
    }

    /// Does what is due.
    fn settle(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Leaving(until) if until <= now) {
            self.stop();
        }
        let is_due = |worker: &&Worker| worker.due.is_some_and(|due| due <= now);
        let late: Vec<u32> = self.workers.values().filter(is_due).map(|worker| worker.pid).collect();
        for pid in late {
            self.is_late(pid);
        }
        self.look_at_fork_servers(now);
        let is_old = |worker: &Worker| worker.retires.is_some_and(|retires| retires <= now);
        for worker in self.workers.values_mut().filter(|worker| is_old(worker)) {
            worker.retires = None;
            let reason = "it is old enough".to_owned();
            worker.retiring = Some(Retirement { cause: Cause::Lifetime, reason });
        }
        if let Some(file) = self.changes.settled(now) {
            self.changed(&file);
        }
        self.look_at_successor(now);
        self.give_sign(now);
        self.look_at_heartbeats(now);
        self.turn_tickets(now);
        self.look_at_memory(now);
        self.measure(now);
        self.reply_status(now);
        self.fill(now);
    }

    /// A worker did not come to its next stage in time.
    fn is_late(&mut self, pid: u32) {
        let boot_timeout = self.coming.as_ref().map_or(&self.plan, |coming| &coming.plan).config.boot_timeout;
        let has_vanished = |worker: &Worker| worker.hung_up && worker.has_vanished();
        if self.workers.get(&pid).is_some_and(has_vanished)
            && let Some(worker) = self.workers.remove(&pid)
        {
            return self.ended(&worker, Ending::Unknown);
        }
        let Some(worker) = self.workers.get_mut(&pid) else { return };
        let (stage, waits) = (worker.stage, std::mem::take(&mut worker.waits));
        let is_unresponsive = worker.is_unresponsive;
        worker.kill();
        match stage {
            Stage::Booting => {
                let reason = format!("worker {pid} was not ready within {boot_timeout}: {waits}");
                self.boot_failed(pid, &reason, "");
            }
            Stage::Draining => {
                self.cut = true;
                report(&format!("worker {pid} did not end in time: killed"));
            }
            // That was said when it began.
            Stage::Serving if is_unresponsive => {}
            Stage::Ready | Stage::Serving => {
                report(&format!("worker {pid} no longer listens to its supervisor: killed"));
            }
            Stage::Failed => {}
        }
    }
}

/// One line in the log.
fn say(what: &str) {
    inform(what);
}
