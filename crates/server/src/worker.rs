//! A worker's end of the channel to its supervisor: it says when it is ready, serves when it is told to, and drains
//! when it is told to, or when the supervisor is gone.

mod readiness;
mod scrapers;

use std::future::{Future, pending, poll_fn};
use std::io;
use std::mem;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use onion::{Handler, report};
use rustix::process::{Signal as Kill, getpid, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::heartbeat::Heartbeat;
use crate::metrics::{Incident, Incidents};
use crate::serve::Server;
use crate::stop::StopHandle;
use crate::supervisor::channel::Channel;
use crate::supervisor::message::{Counters, FromWorker, ToWorker};
use crate::supervisor::recycle::{Cause, Retirement, most_requests};
use crate::tally::Tally;
use crate::tls::{TicketKeys, Tls};
use crate::{AccessLog, Loaded, Metrics};
pub use readiness::ReadyPath;
use scrapers::Scrapers;

/// A worker's end of the channel.
pub struct WorkerEnd {
    channel: Channel,
    /// Knows how busy the application is.
    loaded: Option<Arc<dyn Loaded>>,
    /// How many calls into the application are stuck.
    stuck: Option<watch::Receiver<u64>>,
    imported: Option<Imported>,
    tls: Option<Arc<Tls>>,
    scrapers: Scrapers,
    incidents: Arc<Incidents>,
    heartbeat: Option<Heartbeat>,
    /// How long it may take to end once its supervisor is gone.
    patience: Duration,
}

/// Tells the folders that modules were imported from since it was asked last.
pub type Imported = Arc<dyn Fn() -> Vec<PathBuf> + Send + Sync>;

/// How often it is asked: applications import as they go.
const ASK_IMPORTED: Duration = Duration::from_secs(1);

/// How much longer than its requests a worker may take to end.
const SPARE: Duration = Duration::from_secs(5);

/// Ends this process after `patience`, unless it has ended before: with its supervisor gone nobody else ends a worker
/// whose interpreter is held by a call.
#[expect(clippy::disallowed_methods, reason = "a thread of its own, which no runtime has to drive")]
fn end_within(patience: Duration) {
    let end = move || {
        thread::sleep(patience);
        report("the supervisor is gone, and this worker does not end by itself: killed");
        // It can't fail: the process is this one.
        let _ = kill_process(getpid(), Kill::KILL);
    };
    // Without threads nothing can be done about it.
    let _ = thread::Builder::new().name("onionskin-end".to_owned()).spawn(end);
}

impl WorkerEnd {
    /// Within a runtime.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        let channel = Channel::new(stream)?;
        Ok(WorkerEnd {
            channel,
            loaded: None,
            stuck: None,
            imported: None,
            tls: None,
            scrapers: Scrapers::default(),
            incidents: Arc::default(),
            heartbeat: None,
            patience: Duration::MAX,
        })
    }

    /// Has the supervisor told what is imported, so that it can watch it.
    #[must_use]
    pub fn telling(mut self, imported: Option<Imported>) -> Self {
        self.imported = imported;
        self
    }

    /// Has the worker ask for a successor when the number of calls changes that are `stuck`.
    #[must_use]
    pub fn heeding(mut self, stuck: Option<watch::Receiver<u64>>) -> Self {
        self.stuck = stuck;
        self
    }

    /// Passes the beats of `heartbeat` on to the supervisor.
    #[must_use]
    pub fn beating(mut self, heartbeat: Option<Heartbeat>) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Becomes ready, then serves until the supervisor has it drain. Tells whether every request was answered.
    pub async fn serve(
        mut self,
        mut server: Server,
        handler: Arc<dyn Handler>,
        about: String,
    ) -> io::Result<bool> {
        if let Some(place) = server.config().ready_path.clone()
            && let Some(outcome) = self.prove_ready(&server, &handler, &place).await
        {
            return Ok(outcome);
        }
        let access_log = server.access_log();
        self.tls = server.tls();
        let terminate = signal(SignalKind::terminate())?;
        leave_boot();
        self.tell_imported(self.imported.as_ref().map(|imported| imported()));
        self.channel.send(&FromWorker::Ready { about });
        if self.heartbeat.is_some() {
            // Before it serves, so that one that is stopped before its next beat is missed, too.
            self.channel.send(&FromWorker::Beat);
        }
        loop {
            match self.receive().await {
                Some(ToWorker::Serve) => break,
                Some(ToWorker::Drain | ToWorker::Stop) | None => return Ok(true),
                Some(ToWorker::Reopen) => reopen(access_log.as_deref()),
                Some(ToWorker::Tickets { keys }) => self.share(&keys),
                Some(ToWorker::Leave | ToWorker::Count | ToWorker::Measure | ToWorker::Metrics { .. }) => {}
            }
        }
        let tally = Arc::new(Tally::new(most_requests(server.config())));
        let stop = server.stop_handle();
        let metrics = server.metrics();
        self.loaded = server.who_is_loaded();
        self.incidents = server.incidents();
        self.patience = server.config().drain_delay.0 + server.config().graceful_timeout.0 + SPARE;
        let heartbeat = self.heartbeat.clone().unwrap_or_default();
        if let (Some(_), Some(limit)) = (&self.heartbeat, server.config().worker_timeout.0) {
            tokio::spawn(heartbeat.clone().look_after(limit.0));
        }
        let server = server.beating(heartbeat);
        let server = server.counting(Arc::clone(&tally)).telling(self.scrapers.numbers());
        let serving = server.serve(handler);
        let outcome = self
            .attend(pin!(serving), &stop, &tally, access_log.as_deref(), metrics.as_deref(), terminate)
            .await;
        self.tell_measured(metrics.as_deref());
        outcome
    }

    /// Lets the server serve, and does what the supervisor says meanwhile.
    async fn attend(
        &mut self,
        mut serving: impl Future<Output = io::Result<bool>> + Unpin,
        stop: &StopHandle,
        tally: &Tally,
        access_log: Option<&AccessLog>,
        metrics: Option<&Metrics>,
        mut terminate: Signal,
    ) -> io::Result<bool> {
        let mut is_alone = false;
        let mut stuck = self.stuck.take();
        let mut scrapers = mem::take(&mut self.scrapers);
        let imported = self.imported.take();
        // Kept over the turns of the loop: each beat would begin its time anew.
        let mut next_folders = pin!(next_imported(imported.clone()));
        let mut beats = self.heartbeat.as_ref().map(Heartbeat::beats);
        loop {
            let message = tokio::select! {
                served = &mut serving => return served,
                message = self.receive(), if !is_alone => message,
                () = tally.full() => {
                    self.retire(Cause::Requests, format!("it has answered {} requests", tally.requests()));
                    continue;
                }
                folders = &mut next_folders => {
                    next_folders.set(next_imported(imported.clone()));
                    self.tell_imported(Some(folders));
                    continue;
                }
                () = scrapers.next(), if !is_alone => {
                    self.ask_metrics(&mut scrapers);
                    continue;
                }
                () = next_change(&mut beats) => {
                    self.channel.send(&FromWorker::Beat);
                    continue;
                }
                () = next_change(&mut stuck) => {
                    self.retire(Cause::Stuck, "a call into the application is stuck".to_owned());
                    continue;
                }
                _ = terminate.recv() => {
                    self.retire(Cause::Signal, "it got SIGTERM".to_owned());
                    continue;
                }
            };
            match message {
                Some(ToWorker::Drain) => stop.begin_gently(),
                None => {
                    is_alone = true;
                    scrapers.give_up();
                    end_within(self.patience);
                    stop.begin_gently();
                }
                Some(ToWorker::Stop) => stop.abort(),
                Some(ToWorker::Leave) => stop.leave(),
                Some(ToWorker::Reopen) => reopen(access_log),
                Some(ToWorker::Serve) => {}
                Some(ToWorker::Tickets { keys }) => self.share(&keys),
                Some(ToWorker::Measure) => self.tell_measured(metrics),
                Some(ToWorker::Metrics { number, text }) => {
                    scrapers.tell(number, text);
                    self.ask_metrics(&mut scrapers);
                }
                Some(ToWorker::Count) => {
                    self.channel.send(&FromWorker::Counters(self.counters(stop, tally)));
                }
            }
        }
    }

    /// A few at a time: what is too long to be sent at once would not be sent.
    fn tell_imported(&self, folders: Option<Vec<PathBuf>>) {
        for folders in folders.unwrap_or_default().chunks(FOLDERS_AT_ONCE) {
            self.channel.send(&FromWorker::Imported { folders: folders.to_vec() });
        }
    }

    /// From now on the sessions of TLS clients are resumed as by the other workers.
    fn share(&self, keys: &TicketKeys) {
        if let Some(tls) = &self.tls {
            tls.share(keys);
        }
    }

    fn retire(&self, cause: Cause, reason: String) {
        self.channel.send(&FromWorker::Retiring(Retirement { cause, reason }));
    }

    /// Without metrics there is nothing that is measured.
    fn tell_measured(&self, metrics: Option<&Metrics>) {
        let measured = metrics.map(Metrics::snapshot).unwrap_or_default();
        self.channel.send(&FromWorker::Measured(Box::new(measured)));
    }

    fn counters(&self, stop: &StopHandle, tally: &Tally) -> Counters {
        let load = self.loaded.as_ref().map(|loaded| loaded.load()).unwrap_or_default();
        Counters {
            requests: tally.requests(),
            connections: stop.open_connections() as u64,
            calls: load.calls as u64,
            threads: load.threads as u64,
            waiting: load.waiting as u64,
            turned_away: load.refused + load.expired,
            shed: self.incidents.get(Incident::Shed),
            accept_failures: self.incidents.get(Incident::NotAccepted),
            applications: self.loaded.as_ref().map(|loaded| loaded.limits()).unwrap_or_default(),
        }
    }

    /// Asks for the metrics of all workers, if somebody waits for them.
    fn ask_metrics(&self, scrapers: &mut Scrapers) {
        if let Some(number) = scrapers.question() {
            self.channel.send(&FromWorker::MetricsWanted { number });
        }
    }

    async fn receive(&mut self) -> Option<ToWorker> {
        poll_fn(|context| self.channel.poll_receive(context)).await
    }

    /// Waits until the supervisor is gone, or wants this worker no more.
    async fn ended(&mut self) {
        while !matches!(self.receive().await, None | Some(ToWorker::Drain | ToWorker::Stop)) {}
    }
}

/// Waits until a number has changed: that of stuck calls, or of beats.
async fn next_change(stuck: &mut Option<watch::Receiver<u64>>) {
    if let Some(receiver) = stuck
        && receiver.changed().await.is_ok()
    {
        return;
    }
    pending::<()>().await;
}

/// Waits until something was imported from a further folder.
async fn next_imported(imported: Option<Imported>) -> Vec<PathBuf> {
    let Some(imported) = imported else { return pending().await };
    loop {
        sleep(ASK_IMPORTED).await;
        let imported = Arc::clone(&imported);
        // Not on this thread: it may wait for the interpreter.
        let folders = spawn_blocking(move || imported()).await.unwrap_or_default();
        if !folders.is_empty() {
            return folders;
        }
    }
}

/// So many folders fit into a message.
const FOLDERS_AT_ONCE: usize = 16;

fn reopen(access_log: Option<&AccessLog>) {
    onion::reopen_error_log();
    if let Some(log) = access_log {
        log.reopen();
    }
}

/// While it boots, a worker ends with its supervisor; from then on it drains first.
#[cfg(target_os = "linux")]
pub fn enter_boot() {
    // Where it is not permitted, a worker that hangs in its boot survives its supervisor.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}

#[cfg(target_os = "linux")]
fn leave_boot() {
    let _ = rustix::process::set_parent_process_death_signal(None);
}

/// Other systems have no such thing.
#[cfg(not(target_os = "linux"))]
pub fn enter_boot() {}

#[cfg(not(target_os = "linux"))]
fn leave_boot() {}
