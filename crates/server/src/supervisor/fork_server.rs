//! A process that has imported the application once, and forks workers from there: what `preload` asks for.
//!
//! Each generation has its own, started as a worker is. Workers are its children: it tells how they end. Those that
//! outlive it become children of the supervisor, who asks the kernel for that.

use std::collections::VecDeque;
use std::collections::btree_map::Entry;
use std::io;
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use onion::{report, report_error};

use super::channel::Channel;
use super::message::{FromForkServer, ToForkServer};
use super::places::Places;
use super::plan::Plan;
use super::worker::{Ending, Worker, kill, start};
use super::{Phase, Supervisor};

/// A fork server, as its supervisor knows it.
#[derive(Debug)]
pub(crate) struct ForkServer {
    pub(crate) pid: u32,
    pub(crate) born: Instant,
    pub(crate) channel: Channel,
    /// The channel has come to its end.
    pub(crate) hung_up: bool,
    stage: Stage,
    /// The workers that are wanted of it, in the order in which they come.
    births: VecDeque<Birth>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It imports the application.
    Loading,
    /// It forks when it is asked.
    Loaded,
    /// It is to end by itself, until then.
    Ending(Instant),
}

/// A worker that is wanted.
#[derive(Debug)]
struct Birth {
    replaces: Option<u32>,
    /// By when it must be ready.
    due: Instant,
}

/// How long it may take to end.
const ENDING: Duration = Duration::from_secs(5);

impl ForkServer {
    fn spawn(plan: &Plan, places: &Places) -> io::Result<Self> {
        adopt_orphans();
        let (pid, channel) = start(&mut plan.command(), &places.all(), true)?;
        Ok(ForkServer {
            pid,
            born: Instant::now(),
            channel,
            hung_up: false,
            stage: Stage::Loading,
            births: VecDeque::new(),
        })
    }

    fn ask(&mut self, birth: Birth) {
        self.births.push_back(birth);
        if self.stage == Stage::Loaded {
            self.channel.send(&ToForkServer::Fork);
        }
    }

    fn has_loaded(&mut self) {
        self.stage = Stage::Loaded;
        for _ in &self.births {
            self.channel.send(&ToForkServer::Fork);
        }
    }

    /// Has it end: it tells first which workers have. One that imports may as well be killed.
    fn end(&mut self, now: Instant) {
        match self.stage {
            Stage::Loading => kill(self.pid),
            Stage::Loaded => self.channel.fall_silent(),
            Stage::Ending(_) => return,
        }
        self.births.clear();
        self.stage = Stage::Ending(now + ENDING);
    }

    /// What it waits for.
    fn waits(&self) -> &'static str {
        match self.stage {
            Stage::Loading => "the application is being imported",
            _ => "it forks no worker",
        }
    }

    fn due(&self) -> Option<Instant> {
        match self.stage {
            Stage::Ending(due) => Some(due),
            _ => self.births.front().map(|birth| birth.due),
        }
    }
}

impl Supervisor<'_> {
    /// Asks for a worker of `generation`, and starts the generation's fork server if there is none.
    pub(super) fn ask_fork_server(
        &mut self,
        plan: &Plan,
        places: &Places,
        generation: u64,
        replaces: Option<u32>,
    ) -> io::Result<()> {
        let server = match self.fork_servers.entry(generation) {
            Entry::Occupied(server) => server.into_mut(),
            Entry::Vacant(none) => none.insert(ForkServer::spawn(plan, places)?),
        };
        server.ask(Birth { replaces, due: Instant::now() + plan.config.boot_timeout.0 });
        Ok(())
    }

    /// Ends the fork servers of all generations but one.
    pub(super) fn end_fork_servers(&mut self, but: Option<u64>) {
        let now = Instant::now();
        let others = self.fork_servers.iter_mut().filter(|(generation, _)| but != Some(**generation));
        others.for_each(|(_, server)| server.end(now));
    }

    pub(super) fn end_fork_server(&mut self, generation: u64) {
        if let Some(server) = self.fork_servers.get_mut(&generation) {
            server.end(Instant::now());
        }
    }

    /// How many workers of `generation` are still to be born, beside those that are to replace others.
    pub(super) fn unborn(&self, generation: u64) -> usize {
        let births = self.fork_servers.get(&generation).into_iter().flat_map(|server| &server.births);
        births.filter(|birth| birth.replaces.is_none()).count()
    }

    /// Whether one is to be born that replaces `pid`.
    pub(super) fn is_to_be_replaced(&self, pid: u32) -> bool {
        let births = self.fork_servers.values().flat_map(|server| &server.births);
        births.into_iter().any(|birth| birth.replaces == Some(pid))
    }

    /// The successor of one that is gone succeeds nobody, once it is born.
    pub(super) fn forget_replaced_by_unborn(&mut self, pid: u32) {
        let births = self.fork_servers.values_mut().flat_map(|server| &mut server.births);
        births.filter(|birth| birth.replaces == Some(pid)).for_each(|birth| birth.replaces = None);
    }

    /// A fork server said something, or never will again.
    pub(super) fn told_by_fork_server(&mut self, generation: u64, message: Option<FromForkServer>) {
        let Some(server) = self.fork_servers.get_mut(&generation) else { return };
        match message {
            Some(FromForkServer::Loaded { warnings }) if server.stage == Stage::Loading => {
                server.has_loaded();
                for warning in &warnings {
                    report(warning);
                }
            }
            Some(FromForkServer::Loaded { .. }) => {}
            Some(FromForkServer::Failed { .. }) if matches!(server.stage, Stage::Ending(_)) => {}
            Some(FromForkServer::Failed { reason, details }) => {
                let places = server.births.len();
                server.end(Instant::now());
                self.fork_server_failed(generation, places, &reason, &details);
            }
            Some(FromForkServer::Forked { pid }) => self.is_born(generation, pid),
            Some(FromForkServer::Ended { pid, status }) => {
                self.listen_to_the_last(pid);
                if let Some(worker) = self.workers.remove(&pid) {
                    self.ended(&worker, Ending::of_return_code(status));
                }
            }
            Some(FromForkServer::Imported { folders }) => self.changes.imported(folders),
            // How it ended is told by the system; if it lives, it is of no use.
            None => kill(server.pid),
        }
    }

    fn is_born(&mut self, generation: u64, pid: u32) {
        let Some(server) = self.fork_servers.get_mut(&generation) else { return };
        let channel = server.channel.take_descriptor().map(UnixStream::from).map(Channel::new);
        let birth = server.births.pop_front();
        // One that nobody wants any more ends when it notices that its channel is closed.
        if let (Some(birth), Some(Ok(channel))) = (birth, channel) {
            let mut worker = Worker::booting(pid, channel, generation, birth.due);
            worker.replaces = birth.replaces;
            self.workers.insert(pid, worker);
        }
    }

    /// A child has ended. Tells whether it was a fork server.
    pub(super) fn fork_server_ended(&mut self, pid: u32, ending: Ending) -> bool {
        let found = self.fork_servers.iter().find(|(_, server)| server.pid == pid);
        let Some(generation) = found.map(|(generation, _)| *generation) else { return false };
        // What it said before it ended may not have been heard yet.
        let mut context = Context::from_waker(Waker::noop());
        while let Some(server) = self.fork_servers.get_mut(&generation)
            && let Poll::Ready(Some(message)) = server.channel.poll_receive(&mut context)
        {
            self.told_by_fork_server(generation, Some(message));
        }
        let Some(server) = self.fork_servers.remove(&generation) else { return true };
        if self.phase != Phase::Serving || matches!(server.stage, Stage::Ending(_)) {
            return true;
        }
        let what = format!("the fork server {pid} {ending}");
        if server.births.is_empty() {
            report_error(&format!("{what}: the next worker that is wanted starts another"), "");
        } else {
            let reason = format!("{what} before it had forked all workers");
            self.fork_server_failed(generation, server.births.len(), &reason, "");
        }
        true
    }

    /// When a fork server has to have done what it is about.
    pub(super) fn fork_servers_due(&self) -> Option<Instant> {
        self.fork_servers.values().filter_map(ForkServer::due).min()
    }

    /// Ends fork servers that are late.
    pub(super) fn look_at_fork_servers(&mut self, now: Instant) {
        let is_late = |server: &ForkServer| server.due().is_some_and(|due| due <= now);
        let late = self.fork_servers.iter().filter(|(_, server)| is_late(server));
        let late: Vec<u64> = late.map(|(generation, _)| *generation).collect();
        for generation in late {
            let Some(server) = self.fork_servers.get_mut(&generation) else { continue };
            let (pid, was_ending) = (server.pid, matches!(server.stage, Stage::Ending(_)));
            let waits = server.waits();
            kill(pid);
            let places = server.births.len();
            server.births.clear();
            server.stage = Stage::Ending(now + ENDING);
            if !was_ending {
                let boot_timeout =
                    self.coming.as_ref().map_or(&self.plan, |coming| &coming.plan).config.boot_timeout;
                let reason = format!("the fork server {pid} was not ready within {boot_timeout}: {waits}");
                self.fork_server_failed(generation, places, &reason, "");
            }
        }
    }
}

/// Has the kernel give this process the children of its children that outlive those.
#[cfg(target_os = "linux")]
fn adopt_orphans() {
    // Where it is not permitted, how such a worker ended is not known.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Fork servers are Linux's: the option is refused elsewhere.
#[cfg(not(target_os = "linux"))]
fn adopt_orphans() {}
