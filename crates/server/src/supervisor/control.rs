//! The control socket: people ask how a supervisor does, and have it reload. One JSON object a line, both ways.

use std::future::pending;
use std::io;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::message::{Counters, ToWorker};
use super::places::Places;
use super::recycle::memory;
use super::worker::{Stage, Worker};
use super::{Phase, Supervisor};
use crate::handed::HandedSockets;
use crate::listen::{Listener, ListenerSocket, Manner};
use crate::{Bind, BindError};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    Status,
    Reload,
    Upgrade,
}

#[derive(Debug, Deserialize)]
struct Asked {
    ask: Ask,
}

/// The answer, as JSON.
pub(crate) type Reply = oneshot::Sender<serde_json::Value>;

/// The socket, and what was asked over it.
pub(crate) struct Control {
    listener: Option<UnixListener>,
    sender: mpsc::Sender<(Ask, Reply)>,
    asked: mpsc::Receiver<(Ask, Reply)>,
}

/// So many ask at once; others wait.
const ASKING: usize = 16;

/// How many may wait to be accepted.
const WAITING: u16 = 16;

/// How long somebody may take to ask, and the longest question.
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST: u64 = 4096;

/// How long workers have to tell their counters.
const COUNTING: Duration = Duration::from_millis(100);

impl Control {
    /// Binds the socket, for this user alone.
    pub(crate) fn bind(path: Option<&Path>, old: &Places) -> Result<Places, BindError> {
        let bind = path.map(|path| Bind::Unix(path.to_owned()));
        let manner = Manner::private(WAITING);
        old.opened(&Vec::from_iter(bind), &manner, &HandedSockets::default())
    }

    pub(crate) fn new() -> Self {
        let (sender, asked) = mpsc::channel(ASKING);
        Control { listener: None, sender, asked }
    }

    /// Listens at `place`, within the runtime, or no longer if there is none.
    pub(crate) fn listen(&mut self, place: Option<&Listener>) -> io::Result<()> {
        let socket: Option<StdUnixListener> = match place.map(|listener| &listener.socket) {
            Some(ListenerSocket::Unix(socket)) => Some(socket.try_clone()?),
            _ => None,
        };
        self.listener = socket.map(UnixListener::from_std).transpose()?;
        Ok(())
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.listener.is_some()
    }

    /// What is asked next.
    pub(crate) async fn next(&mut self) -> (Ask, Reply) {
        loop {
            let connection = tokio::select! {
                Some(asked) = self.asked.recv() => return asked,
                connection = accept(self.listener.as_ref()) => connection,
            };
            tokio::spawn(attend(connection, self.sender.clone()));
        }
    }
}

async fn accept(listener: Option<&UnixListener>) -> UnixStream {
    match listener {
        None => pending().await,
        Some(listener) => loop {
            match listener.accept().await {
                Ok((connection, _)) => return connection,
                Err(_) => tokio::time::sleep(COUNTING).await,
            }
        },
    }
}

/// One question and its answer. Whoever hangs up has nobody to be told.
async fn attend(mut connection: UnixStream, sender: mpsc::Sender<(Ask, Reply)>) {
    let (reading, mut writing) = connection.split();
    let mut line = String::new();
    let mut reading = BufReader::new(reading.take(LONGEST));
    if !matches!(timeout(PATIENCE, reading.read_line(&mut line)).await, Ok(Ok(1..))) {
        return;
    }
    let answer = match serde_json::from_str::<Asked>(&line) {
        Err(error) => serde_json::json!({ "error": error.to_string() }),
        Ok(Asked { ask }) => {
            let (reply, answer) = oneshot::channel();
            if sender.send((ask, reply)).await.is_err() {
                return;
            }
            answer.await.unwrap_or_else(|_| serde_json::json!({ "error": "the server stops" }))
        }
    };
    let _ = writing.write_all(format!("{answer}\n").as_bytes()).await;
}

/// How the last reload went.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LastReload {
    /// Seconds since 1970.
    pub(super) at: u64,
    /// Why it failed, if it did.
    pub(super) failed: Option<String>,
}

impl LastReload {
    pub(crate) fn now(failed: Option<String>) -> Self {
        LastReload { at: seconds(), failed }
    }
}

/// What befell workers that serve, or were to.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Amiss {
    /// Seconds since 1970.
    at: u64,
    reason: String,
}

impl Amiss {
    pub(crate) fn now(reason: &str) -> Self {
        Amiss { at: seconds(), reason: reason.to_owned() }
    }
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    pid: u32,
    state: &'static str,
    places: Vec<String>,
    generation: u64,
    last_reload: Option<&'a LastReload>,
    /// How many workers there are to be.
    wanted: usize,
    /// Why there are fewer, while there are.
    amiss: Option<&'a Amiss>,
    workers: Vec<WorkerStatus>,
    /// Those that workers are forked from.
    fork_servers: Vec<ForkServerStatus>,
}

#[derive(Serialize)]
struct WorkerStatus {
    pid: u32,
    generation: u64,
    stage: Stage,
    /// In seconds.
    age: u64,
    #[serde(flatten)]
    counters: Counters,
    /// Resident, in bytes.
    memory: Option<u64>,
    retiring: Option<String>,
}

#[derive(Serialize)]
struct ForkServerStatus {
    pid: u32,
    generation: u64,
    /// In seconds.
    age: u64,
    /// Resident, in bytes.
    memory: Option<u64>,
}

impl Supervisor<'_> {
    /// Somebody asks.
    pub(super) fn asked(&mut self, ask: Ask, reply: Reply) {
        match ask {
            Ask::Status => {
                self.workers.values().for_each(|worker| worker.tell(&ToWorker::Count));
                self.status_replies.push((Instant::now() + COUNTING, reply));
            }
            Ask::Upgrade => self.upgrade(Some(reply)),
            Ask::Reload if self.successor.is_some() => {
                let _ = reply.send(serde_json::json!({ "error": "an upgrade is under way" }));
            }
            Ask::Reload if self.phase != Phase::Serving => {
                let _ = reply.send(serde_json::json!({ "error": "the server stops" }));
            }
            Ask::Reload => {
                let waiting = if self.coming.is_some() {
                    &mut self.next_reload_replies
                } else {
                    &mut self.reload_replies
                };
                waiting.push(reply);
                self.reload();
            }
        }
    }

    /// Answers those whose counters have had their time.
    pub(super) fn reply_status(&mut self, now: Instant) {
        if self.status_replies.iter().all(|(due, _)| *due > now) {
            return;
        }
        let status = serde_json::to_value(self.status()).unwrap_or_default();
        for (_, reply) in self.status_replies.drain(..) {
            // Who hung up has nobody to be told.
            let _ = reply.send(status.clone());
        }
    }

    fn status(&self) -> Status<'_> {
        let state = match self.phase {
            _ if self.generation == 0 => "starting",
            Phase::Serving if self.coming.is_some() => "reloading",
            Phase::Serving if self.successor.is_some() => "upgrading",
            Phase::Serving => "serving",
            Phase::Leaving(_) => "leaving",
            Phase::Stopping => "stopping",
        };
        let workers = self.workers.values().map(|worker| WorkerStatus {
            pid: worker.pid,
            generation: worker.generation,
            stage: worker.stage,
            age: worker.born.elapsed().as_secs(),
            counters: worker.counters.clone(),
            memory: memory(worker.pid),
            retiring: worker.retiring.as_ref().map(|retirement| retirement.reason.clone()),
        });
        let fork_servers = self.fork_servers.iter().map(|(generation, server)| ForkServerStatus {
            pid: server.pid,
            generation: *generation,
            age: server.born.elapsed().as_secs(),
            memory: memory(server.pid),
        });
        let wanted = self.plan.config.workers.number().max(1);
        let own = |worker: &&Worker| worker.generation == self.generation && worker.stage == Stage::Serving;
        let serving = self.workers.values().filter(own).count();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            state,
            places: self.bound().iter().map(ToString::to_string).collect(),
            generation: self.generation,
            last_reload: self.last_reload.as_ref(),
            wanted,
            amiss: self.amiss.as_ref().filter(|_| self.phase == Phase::Serving && serving < wanted),
            workers: workers.collect(),
            fork_servers: fork_servers.collect(),
        }
    }

    /// Takes note of how a reload went, and tells those who wait for it.
    pub(super) fn reply_reload(&mut self, failed: Option<String>) {
        self.measures.reloaded(failed.is_some());
        self.answer_reload(failed.as_deref());
        self.last_reload = Some(LastReload::now(failed));
    }

    /// Tells those who wait for a generation how it went.
    pub(super) fn answer_reload(&mut self, failed: Option<&str>) {
        let answer = serde_json::json!({ "generation": self.generation, "failed": failed });
        for reply in self.reload_replies.drain(..) {
            let _ = reply.send(answer.clone());
        }
        self.reload_replies = std::mem::take(&mut self.next_reload_replies);
    }
}
