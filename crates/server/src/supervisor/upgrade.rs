//! Upgrade: a supervisor hands its sockets over to a new one, of another version of this program or of Python.
//!
//! The successor is started as this one was, finds the sockets in its environment, and has its workers become ready.
//! When they serve it says so; from then on the control socket, systemd and the sockets' files are its own, and the old
//! one drains and ends. If it fails before, nothing has changed.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::changes::Changes;
use super::channel::Channel;
use super::control::{LastReload, Reply};
use super::places::Places;
use super::plan::{Plan, Source};
use super::pulse::Pulse;
use super::tickets::{self, ToSuccessor};
use super::worker::{Ending, kill, spawn_with};
use super::{Phase, Supervisor, say};
use crate::{BindError, HandedSocket, HandedSockets, Notify};

/// What a successor finds in its environment, as JSON; `D` is a number there, and a descriptor of its own later.
///
/// It may be of another version: what is added here needs a default, as everything has but the channel.
#[derive(Debug, Serialize, Deserialize)]
pub struct Estate<D> {
    /// Its end of the channel.
    pub channel: D,
    /// Places as they are written, with their sockets. Texts: another version may know other kinds of places.
    #[serde(default = "Vec::new")]
    pub places: Vec<(String, Vec<D>)>,
    /// Those that scrapers ask at.
    #[serde(default = "Vec::new")]
    pub scraped: Vec<(String, Vec<D>)>,
    /// The control socket.
    #[serde(default = "Vec::new")]
    pub control: Vec<(String, Vec<D>)>,
    /// What the first of all supervisors was started with: number, name and socket.
    #[serde(default = "Vec::new")]
    pub handed: Vec<(RawFd, String, D)>,
    /// The generation that serves.
    #[serde(default)]
    pub generation: u64,
}

impl<D> Estate<D> {
    /// The same with other descriptors.
    pub fn map<O>(self, mut change: impl FnMut(D) -> O) -> Estate<O> {
        let mut all = |places: Vec<(String, Vec<D>)>| {
            let each = places.into_iter().map(|(bind, sockets)| {
                let sockets: Vec<O> = sockets.into_iter().map(&mut change).collect();
                (bind, sockets)
            });
            each.collect::<Vec<_>>()
        };
        let (places, scraped, control) = (all(self.places), all(self.scraped), all(self.control));
        Estate {
            channel: change(self.channel),
            places,
            scraped,
            control,
            handed: self
                .handed
                .into_iter()
                .map(|(number, name, socket)| (number, name, change(socket)))
                .collect(),
            generation: self.generation,
        }
    }
}

/// The name of the variable.
const VARIABLE: &str = "_ONIONSKIN_UPGRADE";

/// From a successor to the one before it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum FromSuccessor {
    /// Its workers serve.
    Serving {
        /// The places that it has taken over, as they were told to it.
        #[serde(default)]
        kept: Vec<String>,
        #[serde(default)]
        generation: u64,
    },
    /// It won't.
    Failed {
        #[serde(default)]
        reason: String,
    },
}

/// The one that is to come, as the old one knows it.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) pid: u32,
    pub(crate) channel: Channel,
    /// By when it must serve.
    pub(crate) due: Instant,
    pub(crate) hung_up: bool,
    /// Those who wait for the outcome.
    replies: Vec<Reply>,
}

/// The one that was, as the new one knows it.
#[derive(Debug)]
pub(crate) struct Predecessor {
    channel: UnixStream,
    /// The places that it hands over.
    handed: Vec<String>,
    /// Where scrapers will ask.
    pub(crate) scraped: Places,
}

/// How much longer than a worker a supervisor may take to become ready.
const STARTING: Duration = Duration::from_secs(10);

impl<'a> Supervisor<'a> {
    /// Takes the place of another one as soon as workers serve. What that does not hand over is bound.
    pub fn succeeding(
        plan: Plan,
        source: Source<'a>,
        estate: Estate<OwnedFd>,
    ) -> io::Result<Result<Self, BindError>> {
        let channel = UnixStream::from(estate.channel);
        let handed = estate.handed.into_iter();
        let handed = handed.map(|(number, name, socket)| HandedSocket { number, name, socket }).collect();
        let (places, scraped) = (Places::inherited(estate.places)?, Places::inherited(estate.scraped)?);
        let old = Old { places, scraped, control: Places::inherited(estate.control)? };
        let names = [&old.places, &old.scraped, &old.control].map(Places::names).concat();
        let mut supervisor = match Supervisor::bind_beside(plan, source, HandedSockets(handed), &old) {
            Ok(supervisor) => supervisor,
            Err(error) => {
                tell(&channel, &FromSuccessor::Failed { reason: error.to_string() });
                return Ok(Err(error));
            }
        };
        let scraped = supervisor.measures.leave_places();
        if let Some(tickets) = tickets::inherited(&channel, Instant::now()) {
            supervisor.tickets = Some(tickets);
        }
        supervisor.last_generation = estate.generation;
        supervisor.predecessor = Some(Predecessor { channel, handed: names, scraped });
        Ok(Ok(supervisor))
    }
}

/// What is there already when a supervisor binds.
#[derive(Debug, Default)]
pub(crate) struct Old {
    pub(crate) places: Places,
    pub(crate) scraped: Places,
    pub(crate) control: Places,
}

impl Supervisor<'_> {
    /// Begins an upgrade. Whoever asked is told the outcome.
    pub(super) fn upgrade(&mut self, reply: Option<Reply>) {
        let refused = match self.phase {
            _ if std::process::id() == 1 => {
                Some("the first process of a container can't be replaced; start another container")
            }
            Phase::Leaving(_) | Phase::Stopping => Some("the server stops"),
            Phase::Serving if self.successor.is_some() => Some("another upgrade is under way"),
            Phase::Serving if self.coming.is_some() || self.generation == 0 => {
                Some("a generation is on its way; try again when it serves")
            }
            Phase::Serving => None,
        };
        let started = refused.map_or_else(
            || self.start_successor().map_err(|error| error.to_string()),
            |reason| Err(reason.to_owned()),
        );
        match started {
            Ok(mut successor) => {
                say(&format!("upgrade: process {} is to take over", successor.pid));
                successor.replies.extend(reply);
                self.successor = Some(successor);
            }
            Err(reason) => {
                onion::report(&format!("no upgrade: {reason}"));
                if let Some(reply) = reply {
                    let _ = reply.send(serde_json::json!({ "error": reason }));
                }
            }
        }
    }

    fn start_successor(&self) -> io::Result<Successor> {
        let (ours, theirs) = UnixStream::pair()?;
        let estate = Estate {
            channel: theirs.as_fd(),
            places: self.places.with_descriptors(),
            scraped: self.measures.places.with_descriptors(),
            control: self.control.with_descriptors(),
            handed: self.handed.0.iter().map(|it| (it.number, it.name.clone(), it.socket.as_fd())).collect(),
            generation: self.last_generation,
        };
        let mut inherited = Vec::new();
        let estate = estate.map(|descriptor| {
            inherited.push(descriptor);
            descriptor.as_raw_fd()
        });
        let mut command = self.plan.command();
        command.env(VARIABLE, serde_json::to_string(&estate)?);
        self.notify.hand_on(&mut command);
        self.pulse.hand_on(&mut command);
        let (channel, now) = (Channel::new(ours)?, Instant::now());
        if let Some(tickets) = &self.tickets {
            // Before it is started: it does not wait for it.
            channel.send(&ToSuccessor::tickets(tickets, now));
        }
        let pid = spawn_with(&mut command, &inherited)?.id();
        let due = now + self.plan.config.boot_timeout.0 + STARTING;
        Ok(Successor { pid, channel, due, hung_up: false, replies: Vec::new() })
    }

    /// The successor said something, or never will again.
    pub(super) fn told_by_successor(&mut self, message: Option<FromSuccessor>) {
        match message {
            Some(FromSuccessor::Serving { kept, generation }) => self.succeeded(&kept, generation),
            Some(FromSuccessor::Failed { reason }) => self.successor_failed(&reason),
            // Its end is noticed elsewhere.
            None => {}
        }
    }

    /// The successor serves: nothing is left to do here but to drain.
    fn succeeded(&mut self, kept: &[String], generation: u64) {
        let Some(successor) = self.successor.take() else { return };
        say(&format!("upgraded: process {} serves, this one drains", successor.pid));
        self.notify.succeeded(successor.pid, &format!("generation {generation} serves"));
        self.notify = Notify::default();
        self.pulse = Pulse::default();
        for places in [&self.places, &self.measures.places, &self.control] {
            places.own_files(false, |bind| kept.contains(&bind.to_string()));
        }
        // Nobody is answered here any more.
        self.control = Places::default();
        self.measures.leave_places();
        self.changes = Changes::default();
        let answer = serde_json::json!({ "pid": successor.pid, "generation": generation, "failed": null });
        for reply in successor.replies {
            let _ = reply.send(answer.clone());
        }
        self.stop();
    }

    /// Ends the successor.
    pub(super) fn end_successor(&mut self, reason: &str) {
        if let Some(successor) = &self.successor {
            kill(successor.pid);
            self.successor_failed(reason);
        }
    }

    /// The successor won't serve. If it says so itself, it ends by itself, when it has told more in the log.
    fn successor_failed(&mut self, reason: &str) {
        let Some(successor) = self.successor.take() else { return };
        let what = format!("upgrade failed, generation {} goes on: {reason}", self.generation);
        onion::report_error(&what, "");
        self.last_reload = Some(LastReload::now(Some(format!("upgrade: {reason}"))));
        for reply in successor.replies {
            let _ = reply.send(serde_json::json!({ "failed": reason }));
        }
        self.reload_ended();
    }

    /// A child that is no worker has ended.
    pub(super) fn other_ended(&mut self, pid: u32, ending: Ending) {
        if self.successor.as_ref().is_none_or(|successor| successor.pid != pid) {
            return;
        }
        // What it said before may not have been heard yet.
        let mut context = Context::from_waker(Waker::noop());
        while let Some(successor) = &mut self.successor
            && let Poll::Ready(Some(message)) = successor.channel.poll_receive(&mut context)
        {
            self.told_by_successor(Some(message));
        }
        self.successor_failed(&format!("the new process {ending}"));
    }

    /// Ends a successor that took too long.
    pub(super) fn look_at_successor(&mut self, now: Instant) {
        if self.successor.as_ref().is_some_and(|successor| successor.due <= now) {
            self.end_successor("the new process did not serve in time");
        }
    }

    /// Tells the one before this that its time is over: the first generation serves.
    pub(super) fn take_over_from_predecessor(&mut self) {
        let Some(predecessor) = self.predecessor.take() else { return };
        self.take_over_pid_file();
        let is_kept = |name: &String| predecessor.handed.contains(name);
        let all = [&self.places, &self.measures.places, &self.control];
        for places in all {
            places.own_files(true, |bind| is_kept(&bind.to_string()));
        }
        let mut kept = all.map(Places::names).concat();
        kept.retain(is_kept);
        tell(&predecessor.channel, &FromSuccessor::Serving { kept, generation: self.generation });
    }

    /// Tells the one before this that it has to go on.
    pub(super) fn leave_to_predecessor(&mut self, reason: &str) {
        if let Some(predecessor) = self.predecessor.take() {
            tell(&predecessor.channel, &FromSuccessor::Failed { reason: reason.to_owned() });
        }
    }
}

/// A word to the one before. If it has ended, there is nobody to be told.
fn tell(mut channel: &UnixStream, message: &FromSuccessor) {
    if let Ok(mut line) = serde_json::to_vec(message) {
        line.push(b'\n');
        let _ = channel.write_all(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estate_is_the_same_behind_its_way_through_the_environment() {
        let place = "127.0.0.1:8000".to_owned();
        let estate = Estate {
            channel: 3,
            places: vec![(place.clone(), vec![4, 5])],
            scraped: Vec::new(),
            control: vec![("unix:/run/control".to_owned(), vec![6])],
            handed: vec![(3, "web".to_owned(), 7)],
            generation: 2,
        };
        let text = serde_json::to_string(&estate).expect("it is data");
        let read: Estate<RawFd> = serde_json::from_str(&text).expect("it was written so");
        let read = read.map(|descriptor| descriptor + 10);
        assert_eq!((read.channel, read.places, read.generation), (13, vec![(place, vec![14, 15])], 2));
        assert_eq!((&read.control[0].1, read.handed[0].2), (&vec![16], 17));
    }

    #[test]
    fn an_estate_of_another_version_may_have_less_and_more() {
        let text = r#"{"channel": 3, "places": [["127.0.0.1:8000", [4]]], "treasure": [5]}"#;
        let read: Estate<RawFd> = serde_json::from_str(text).expect("the rest has a default");
        assert_eq!((read.channel, read.places[0].1.as_slice(), read.generation), (3, &[4][..], 0));
        assert!(read.scraped.is_empty() && read.control.is_empty() && read.handed.is_empty());
    }

    #[test]
    fn a_place_that_only_another_version_knows_is_closed() {
        let (_ours, theirs) = UnixStream::pair().expect("a pair");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let places = vec![
            ("quic://127.0.0.1:8000".to_owned(), vec![OwnedFd::from(theirs)]),
            ("127.0.0.1:8000".to_owned(), vec![OwnedFd::from(listener)]),
        ];
        let places = Places::inherited(places).expect("the other one is a socket that listens");
        assert_eq!(places.names(), ["127.0.0.1:8000"]);
    }

    #[test]
    fn what_a_successor_of_another_version_tells_may_be_less_and_more() {
        let serving = r#"{"kind": "serving", "generation": 3, "mood": "good"}"#;
        let read: FromSuccessor = serde_json::from_str(serving).expect("the rest has a default");
        assert!(matches!(read, FromSuccessor::Serving { kept, generation: 3 } if kept.is_empty()));
        let read = serde_json::from_str(r#"{"kind": "failed"}"#).expect("the rest has a default");
        assert!(matches!(read, FromSuccessor::Failed { reason } if reason.is_empty()));
    }
}
