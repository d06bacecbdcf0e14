//! One worker, as its supervisor knows it: a process, the channel to it, and how far it has come.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, WaitStatus, kill_process};
use serde::Serialize;

use super::channel::Channel;
use super::message::{Counters, ToWorker};
use super::recycle::Retirement;
use crate::Snapshot;
use crate::listen::Listener;

/// What a worker finds in its environment, as JSON.
#[derive(Debug, Serialize)]
struct Inheritance {
    /// The descriptor of its end of the channel.
    control: RawFd,
    /// The descriptors of the listening sockets, and the places that they are bound to.
    listeners: Vec<(RawFd, String)>,
}

/// The name of the variable.
const VARIABLE: &str = "_ONIONSKIN_WORKER";

/// A worker process.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) pid: u32,
    pub(crate) generation: u64,
    pub(crate) stage: Stage,
    pub(crate) born: Instant,
    /// When it began to serve.
    pub(crate) serving_since: Option<Instant>,
    /// By when it must have come to the next stage, or it is killed.
    pub(crate) due: Option<Instant>,
    /// The worker that drains once this one serves.
    pub(crate) replaces: Option<u32>,
    /// Why it is to have a successor.
    pub(crate) retiring: Option<Retirement>,
    /// When it grows too old.
    pub(crate) retires: Option<Instant>,
    pub(crate) counters: Counters,
    /// What it has measured, as it was last told.
    pub(crate) measured: Snapshot,
    /// It was asked what it has measured, and has not answered yet.
    pub(crate) owes_measures: bool,
    /// When it last told them.
    pub(crate) heard: Option<Instant>,
    pub(crate) channel: Channel,
    /// The channel has come to its end.
    pub(crate) hung_up: bool,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// It imports the application.
    Booting,
    /// It could serve, and waits for the others of its generation.
    Ready,
    /// It accepts connections.
    Serving,
    /// It finishes what is in flight.
    Draining,
    /// It could not become ready, and ends.
    Failed,
}

impl Worker {
    /// Starts a worker that inherits the listening sockets. Nothing else runs in this process meanwhile, so that
    /// nobody else's child can inherit them.
    pub(crate) fn spawn(
        command: &mut Command,
        listeners: &[&Listener],
        generation: u64,
        boot_timeout: Duration,
    ) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let channel = Channel::new(ours)?;
        let inheritance = Inheritance {
            control: theirs.as_raw_fd(),
            listeners: listeners
                .iter()
                .map(|it| (it.descriptor().as_raw_fd(), it.bound().to_string()))
                .collect(),
        };
        command.env(VARIABLE, serde_json::to_string(&inheritance)?);
        let inherited: Vec<BorrowedFd<'_>> =
            listeners.iter().map(|it| it.descriptor()).chain([theirs.as_fd()]).collect();
        let spawned = spawn_with(command, &inherited)?;
        let now = Instant::now();
        Ok(Worker {
            pid: spawned.id(),
            generation,
            stage: Stage::Booting,
            born: now,
            serving_since: None,
            due: Some(now + boot_timeout),
            replaces: None,
            retiring: None,
            retires: None,
            counters: Counters::default(),
            measured: Snapshot::default(),
            owes_measures: false,
            heard: None,
            channel,
            hung_up: false,
        })
    }

    /// Tells it something; a worker that does not listen is ending, which is noticed elsewhere.
    pub(crate) fn tell(&self, message: &ToWorker) {
        self.channel.send(message);
    }

    /// Asks what it has measured, unless it was asked already.
    pub(crate) fn ask_measures(&mut self) {
        if matches!(self.stage, Stage::Serving | Stage::Draining) && !self.owes_measures {
            self.owes_measures = self.channel.send(&ToWorker::Measure);
        }
    }

    /// Has it finish, until `due`.
    pub(crate) fn drain(&mut self, due: Instant) {
        self.tell(&ToWorker::Drain);
        self.stage = Stage::Draining;
        self.due = Some(due);
    }

    /// Ends it now.
    pub(crate) fn kill(&mut self) {
        kill(self.pid);
        self.due = None;
    }

    /// Whether it belongs to those that serve, or will.
    pub(crate) fn counts(&self) -> bool {
        matches!(self.stage, Stage::Booting | Stage::Ready | Stage::Serving)
    }

    pub(crate) fn is_booting(&self) -> bool {
        matches!(self.stage, Stage::Booting | Stage::Ready)
    }
}

/// Starts a process that inherits some descriptors.
pub(crate) fn spawn_with(command: &mut Command, inherited: &[BorrowedFd<'_>]) -> io::Result<Child> {
    for descriptor in inherited {
        fcntl_setfd(descriptor, FdFlags::empty())?;
    }
    let spawned = command.spawn();
    for descriptor in inherited {
        fcntl_setfd(descriptor, FdFlags::CLOEXEC)?;
    }
    spawned
}

/// Ends a process now.
pub(crate) fn kill(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It fails for one that has ended: that is as good.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// How a process ended, in words.
pub(crate) fn ending(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => format!("ended with status {status}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
