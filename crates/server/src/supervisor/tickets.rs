//! The keys of TLS tickets: made, turned and handed on here, so that a client resumes its session with any worker, after a
//! reload, and after an upgrade.
//!
//! They go over the channels only, and into no environment, command line or file.

use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::net::{RecvFlags, recv};
use serde::{Deserialize, Serialize};

use super::Supervisor;
use super::message::{ToWorker, understood};
use super::worker::{Stage, Worker};
use crate::tls::{Rotation, TicketKeys};
use crate::{Config, Speaks};

/// From a supervisor to its successor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum ToSuccessor {
    /// The keys that it goes on with.
    Tickets {
        keys: TicketKeys,
        /// In how many seconds they have to be turned.
        due: u64,
    },
}

/// What one supervisor may tell the next before that reads, in bytes.
const MOST_TOLD: usize = 16 * 1024;

impl ToSuccessor {
    pub(crate) fn tickets(rotation: &Rotation, now: Instant) -> Self {
        let due = rotation.due().saturating_duration_since(now).as_secs();
        ToSuccessor::Tickets { keys: rotation.keys(), due }
    }
}

/// The keys of a predecessor, who has told them before it started this process. One of another version may not have.
pub(crate) fn inherited(channel: &UnixStream, now: Instant) -> Option<Rotation> {
    let mut told = vec![0; MOST_TOLD];
    let (length, _) = recv(channel, told.as_mut_slice(), RecvFlags::DONTWAIT).ok()?;
    told[..length].split(|byte| *byte == b'\n').find_map(|line| match understood(line) {
        Ok(Some(ToSuccessor::Tickets { keys, due })) => Rotation::inherited(keys, due, now),
        _ => None,
    })
}

/// Tells a worker the keys, if it speaks TLS.
pub(crate) fn tell_tickets(tickets: Option<&Rotation>, config: &Config, worker: &Worker) {
    if let Some(tickets) = tickets
        && config.bind.iter().any(|bind| bind.speaks() == Speaks::Https)
    {
        worker.tell(&ToWorker::Tickets { keys: tickets.keys() });
    }
}

impl Supervisor<'_> {
    /// Turns the keys when it is time. Those that do not serve yet are told when they do.
    pub(super) fn turn_tickets(&mut self, now: Instant) {
        let Some(tickets) = &mut self.tickets else { return };
        if tickets.turn(now) {
            for worker in self.workers.values().filter(|worker| worker.stage == Stage::Serving) {
                tell_tickets(self.tickets.as_ref(), &self.plan.config, worker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;
    use std::task::{Context, Waker};
    use std::time::Duration;

    use super::super::channel::Channel;
    use super::super::plan::Plan;
    use super::*;
    use crate::HandedSockets;

    fn rotation(now: Instant) -> Rotation {
        Rotation::begin(now).expect("there is randomness")
    }

    #[tokio::test]
    async fn a_turn_is_told_to_the_workers_that_serve() {
        let now = Instant::now();
        let bind = vec!["https://127.0.0.1:0".parse().expect("a place")];
        let config = Config { bind, ..Config::default() };
        let plan = Plan { command: Vec::new(), directory: None, files: Vec::new(), config };
        let source = Box::new(|| Err("there is none".to_owned()));
        let supervisor = Supervisor::bind(plan, source, HandedSockets::default());
        let mut supervisor = supervisor.expect("there is a port");
        let mut ends = [Stage::Serving, Stage::Booting].map(|stage| {
            let (ours, theirs) = UnixStream::pair().expect("a pair");
            let pid = u32::MAX - stage as u32;
            let mut worker = Worker::booting(pid, Channel::new(ours).expect("a runtime"), 1, now);
            worker.stage = stage;
            supervisor.workers.insert(pid, worker);
            Channel::new(theirs).expect("a runtime")
        });
        let due = supervisor.tickets.as_ref().expect("there is randomness").due();

        supervisor.turn_tickets(now);
        supervisor.turn_tickets(due);
        let told = poll_fn(|context| ends[0].poll_receive(context)).await;
        let keys = supervisor.tickets.as_ref().map(Rotation::keys);
        assert_eq!(told, keys.map(|keys| ToWorker::Tickets { keys }));
        let mut context = Context::from_waker(Waker::noop());
        for end in &mut ends {
            assert!(end.poll_receive::<ToWorker>(&mut context).is_pending());
        }
    }

    #[test]
    fn a_successor_goes_on_with_the_keys_of_its_predecessor() {
        let now = Instant::now();
        let rotation = rotation(now);
        let (mut ours, theirs) = UnixStream::pair().expect("a pair");
        let told = ToSuccessor::tickets(&rotation, now + Duration::from_secs(60));
        let told = serde_json::to_string(&told).expect("it is data");
        writeln!(ours, "{{\"kind\": \"of another version\"}}\n{told}").expect("there is room");

        let inherited = inherited(&theirs, now).expect("they were told");
        assert_eq!(inherited.keys(), rotation.keys());
        assert_eq!(inherited.due() + Duration::from_secs(60), rotation.due());
    }

    #[test]
    fn a_predecessor_that_tells_nothing_is_not_waited_for() {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair");
        assert!(inherited(&theirs, Instant::now()).is_none());
        ours.write_all(b"nonsense\n{\"kind\": \"tickets\"").expect("there is room");
        assert!(inherited(&theirs, Instant::now()).is_none());
        drop(ours);
        assert!(inherited(&theirs, Instant::now()).is_none());
    }
}
