//! One worker, as its supervisor knows it: a process, the channel to it, and how far it has come.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::time::Instant;

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, WaitStatus, kill_process, test_kill_process};
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
    /// Whether it is to fork workers, and be none.
    forks: bool,
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
    /// What it waits for before it is ready, as far as that is known.
    pub(crate) waits: String,
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
    /// When its heart last beat; `None` if it has not said so yet, as a worker of an older version never does.
    pub(crate) beat: Option<Instant>,
    /// It is ended since its heart does not beat.
    pub(crate) is_unresponsive: bool,
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
    /// One that was just started, and has to be ready until `due`.
    pub(crate) fn booting(pid: u32, channel: Channel, generation: u64, due: Instant) -> Self {
        Worker {
            pid,
            generation,
            stage: Stage::Booting,
            born: Instant::now(),
            serving_since: None,
            due: Some(due),
            waits: "the application is being imported".to_owned(),
            replaces: None,
            retiring: None,
            retires: None,
            counters: Counters::default(),
            measured: Snapshot::default(),
            owes_measures: false,
            heard: None,
            beat: None,
            is_unresponsive: false,
            channel,
            hung_up: false,
        }
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

    /// Whether there is no such process any more, and nobody has told.
    pub(crate) fn has_vanished(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        pid.is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH))
    }
}

/// Starts a worker, or a fork server, that inherits the listening sockets. Nothing else runs in this process meanwhile,
/// so that nobody else's child can inherit them.
pub(crate) fn start(
    command: &mut Command,
    listeners: &[&Listener],
    forks: bool,
) -> io::Result<(u32, Channel)> {
    let (ours, theirs) = UnixStream::pair()?;
    let channel = Channel::new(ours)?;
    let named = listeners.iter().map(|it| (it.descriptor().as_raw_fd(), it.bound().to_string()));
    let inheritance = Inheritance { control: theirs.as_raw_fd(), listeners: named.collect(), forks };
    command.env(VARIABLE, serde_json::to_string(&inheritance)?);
    let inherited: Vec<BorrowedFd<'_>> =
        listeners.iter().map(|it| it.descriptor()).chain([theirs.as_fd()]).collect();
    let spawned = spawn_with(command, &inherited)?;
    Ok((spawned.id(), channel))
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
    send(pid, Signal::KILL);
}

/// Ends a process that writes its stack first, if it still can: faulthandler's signal handler needs no interpreter.
pub(crate) fn kill_with_stack(pid: u32) {
    send(pid, Signal::ABORT);
}

fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It fails for one that has ended: that is as good.
        let _ = kill_process(pid, signal);
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Status(i32),
    Signal(i32),
    /// Whoever knows is gone, too.
    Unknown,
}

impl Ending {
    /// As Python tells it: the exit status, or the number of the signal, negated.
    pub(crate) fn of_return_code(code: i32) -> Self {
        if code < 0 { Ending::Signal(-code) } else { Ending::Status(code) }
    }
}

impl From<WaitStatus> for Ending {
    fn from(status: WaitStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(status), _) => Ending::Status(status),
            (None, Some(signal)) => Ending::Signal(signal),
            (None, None) => Ending::Unknown,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Status(status) => write!(formatter, "ended with status {status}"),
            Ending::Signal(signal) => write!(formatter, "was ended by signal {signal}"),
            Ending::Unknown => formatter.write_str("ended"),
        }
    }
}
