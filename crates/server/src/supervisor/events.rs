//! What happens to a supervisor: signals, words of its workers, and their ends.

use std::io;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use onion::{reopen_error_log, report_error};
use rustix::process::{WaitOptions, wait};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::control::Amiss;
use super::measures::Asking;
use super::message::{FromWorker, ToWorker};
use super::recycle::Cause;
use super::worker::{Ending, Stage, Worker};
use super::{Phase, Supervisor};

/// The signals that a supervisor knows.
#[derive(Debug)]
pub(crate) struct Signals {
    child: Signal,
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    user: Signal,
    other_user: Signal,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signalled {
    Child,
    Stop,
    Reload,
    Reopen,
    Upgrade,
}

impl Signals {
    pub(crate) fn watch() -> io::Result<Self> {
        Ok(Signals {
            child: signal(SignalKind::child())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            other_user: signal(SignalKind::user_defined2())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Signalled {
        tokio::select! {
            _ = self.child.recv() => Signalled::Child,
            _ = self.interrupt.recv() => Signalled::Stop,
            _ = self.terminate.recv() => Signalled::Stop,
            _ = self.hangup.recv() => Signalled::Reload,
            _ = self.user.recv() => Signalled::Reopen,
            _ = self.other_user.recv() => Signalled::Upgrade,
        }
    }
}

/// How long a worker that closed its channel has to end.
const HUNG_UP: Duration = Duration::from_secs(5);

impl Supervisor<'_> {
    pub(super) fn signalled(&mut self, signal: Signalled) {
        match signal {
            Signalled::Child => self.reap(),
            Signalled::Reload if self.terminal.is_gone() => self.signalled(Signalled::Stop),
            Signalled::Reload => self.reload(),
            Signalled::Reopen => {
                reopen_error_log();
                self.workers.values().for_each(|worker| worker.tell(&ToWorker::Reopen));
            }
            Signalled::Upgrade => self.upgrade(None),
            Signalled::Stop if self.phase == Phase::Serving => self.leave(),
            Signalled::Stop => self.stop_now(),
        }
    }

    /// A worker said something, or never will again.
    pub(super) fn told(&mut self, pid: u32, message: Option<FromWorker>) {
        match message {
            Some(FromWorker::Ready { about }) => self.is_ready(pid, about),
            Some(FromWorker::Waits { reason }) => {
                if let Some(worker) = self.workers.get_mut(&pid) {
                    worker.waits = reason;
                }
            }
            Some(FromWorker::Failed { reason, details }) => {
                let due = Instant::now() + HUNG_UP;
                self.boot_failed(pid, &reason, &details);
                if let Some(worker) = self.workers.get_mut(&pid).filter(|it| it.stage == Stage::Failed) {
                    worker.due = Some(due);
                }
            }
            Some(FromWorker::Retiring(retirement)) => {
                if let Some(worker) = self.workers.get_mut(&pid).filter(|it| it.stage == Stage::Serving) {
                    worker.retiring = Some(retirement);
                }
            }
            Some(FromWorker::Beat) => {
                if let Some(worker) = self.workers.get_mut(&pid) {
                    worker.beat = Some(Instant::now());
                }
            }
            Some(FromWorker::Counters(counters)) => {
                if let Some(worker) = self.workers.get_mut(&pid) {
                    worker.counters = counters;
                    worker.heard = Some(Instant::now());
                }
            }
            Some(FromWorker::Imported { folders }) => self.changes.imported(folders),
            Some(FromWorker::Measured(measured)) => {
                if let Some(worker) = self.workers.get_mut(&pid) {
                    worker.measured = *measured;
                    worker.owes_measures = false;
                }
            }
            Some(FromWorker::MetricsWanted { number }) => self.scraped(Asking::Worker(pid, number)),
            None => {
                if let Some(worker) = self.workers.get_mut(&pid) {
                    let due = Instant::now() + HUNG_UP;
                    worker.due = Some(worker.due.map_or(due, |before| before.min(due)));
                }
            }
        }
    }

    /// Takes note of every child that has ended. As the first process of a container it gets those of others too.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let Ok(pid) = u32::try_from(pid.as_raw_nonzero().get()) else { continue };
            let ending = Ending::from(status);
            self.listen_to_the_last(pid);
            match self.workers.remove(&pid) {
                Some(worker) => self.ended(&worker, ending),
                None if self.fork_server_ended(pid, ending) => {}
                None => self.other_ended(pid, ending),
            }
        }
    }

    /// What a worker said before it ended may not have been heard yet.
    pub(super) fn listen_to_the_last(&mut self, pid: u32) {
        let mut context = Context::from_waker(Waker::noop());
        while let Some(worker) = self.workers.get_mut(&pid).filter(|worker| !worker.hung_up) {
            match worker.channel.poll_receive(&mut context) {
                Poll::Ready(Some(message)) => self.told(pid, Some(message)),
                _ => return,
            }
        }
    }

    pub(super) fn ended(&mut self, worker: &Worker, how: Ending) {
        let pid = worker.pid;
        self.measures.ended(worker);
        match worker.stage {
            Stage::Booting | Stage::Ready => {
                self.generation_failed(
                    worker.generation,
                    &format!("worker {pid} {how} before it served"),
                    "",
                );
            }
            Stage::Serving => {
                self.forget_replaced(pid);
                if worker.is_unresponsive {
                    self.measures.replaced(Cause::Unresponsive);
                } else if self.phase == Phase::Serving {
                    self.measures.replaced(Cause::Died);
                    let what = format!("worker {pid} {how} while it served");
                    self.amiss = Some(Amiss::now(&what));
                    report_error(&format!("{what}; another one starts"), "");
                } else {
                    self.cut = true;
                }
            }
            Stage::Draining => {
                let was_cut = how != Ending::Status(0);
                self.cut |= was_cut && self.phase != Phase::Serving;
            }
            Stage::Failed => {}
        }
    }

    /// The successor of one that is gone succeeds nobody.
    fn forget_replaced(&mut self, pid: u32) {
        for worker in self.workers.values_mut().filter(|worker| worker.replaces == Some(pid)) {
            worker.replaces = None;
        }
        self.forget_replaced_by_unborn(pid);
    }
}
