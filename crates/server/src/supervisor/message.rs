//! What a supervisor and its processes tell each other: each is one JSON object.
//!
//! They may be of different versions, when the package was replaced while the server runs: what is added to a message
//! needs a default, and a message that somebody does not know is left out.

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::recycle::Retirement;
use crate::LimitLoad;
use crate::Snapshot;
use crate::tls::TicketKeys;

/// From a worker to its supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum FromWorker {
    /// It could serve, and waits to be told so.
    Ready {
        /// What it would serve, for people.
        #[serde(default)]
        about: String,
    },
    /// It can't serve yet.
    Waits {
        /// What for.
        #[serde(default)]
        reason: String,
    },
    /// It can't serve.
    Failed {
        /// Why, in one line.
        #[serde(default)]
        reason: String,
        /// The traceback, if there is one.
        #[serde(default)]
        details: String,
    },
    /// Its interpreter could be had.
    Beat,
    /// It asks for a successor.
    Retiring(Retirement),
    /// How it does, since it was asked.
    Counters(Counters),
    /// What it has measured, when it was asked, and at its end.
    Measured(Box<Snapshot>),
    /// Somebody asks it for the metrics of all workers.
    MetricsWanted {
        /// Names the question.
        number: u64,
    },
    /// Folders that modules were imported from, where changes are watched for.
    Imported {
        /// Which, beside those that were told before.
        folders: Vec<PathBuf>,
    },
}

/// What a worker counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Counters {
    /// Requests so far.
    pub requests: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Calls into the application that run, and the most that may.
    pub calls: u64,
    pub threads: u64,
    /// Requests that wait for their turn.
    pub waiting: u64,
    /// Requests that were turned away since too many waited, or since they had waited for too long.
    pub turned_away: u64,
    /// Idle connections that were closed to make room.
    pub shed: u64,
    /// How often no connection could be accepted.
    pub accept_failures: u64,
    /// The applications with a limit of their own.
    pub applications: Vec<LimitLoad>,
}

/// From a supervisor to a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum ToWorker {
    /// Resume the sessions of TLS clients by these keys, as the other workers do.
    Tickets { keys: TicketKeys },
    /// Accept connections.
    Serve,
    /// A stop is near: go on serving, but tell load balancers to send nothing more.
    Leave,
    /// Accept nothing more, finish what is in flight, and end.
    Drain,
    /// End now.
    Stop,
    /// Open the logs anew.
    Reopen,
    /// Tell the counters.
    Count,
    /// Tell the metrics.
    Measure,
    /// The metrics of all workers, as they are shown.
    Metrics {
        /// What was asked.
        number: u64,
        /// The page.
        text: String,
    },
}

/// From a fork server to its supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum FromForkServer {
    /// It has imported the application.
    Loaded {
        /// What of it may not be meant to be shared.
        #[serde(default)]
        warnings: Vec<String>,
    },
    /// It can't fork workers.
    Failed {
        reason: String,
        #[serde(default)]
        details: String,
    },
    /// As asked, a worker was forked; its channel comes along.
    Forked { pid: u32 },
    /// A worker has ended.
    Ended {
        pid: u32,
        /// The exit status, or the number of the signal, negated.
        status: i32,
    },
    /// As a worker tells it.
    Imported { folders: Vec<PathBuf> },
}

/// From a supervisor to a fork server, which ends when the channel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum ToForkServer {
    /// Fork a worker.
    Fork,
}

/// A message; `None` for one that another version sends, which this one does not know.
pub(crate) fn understood<M: DeserializeOwned>(line: &[u8]) -> serde_json::Result<Option<M>> {
    serde_json::from_slice(line).map_or_else(
        |_| serde_json::from_slice::<serde_json::Map<_, serde_json::Value>>(line).map(|_| None),
        |message| Ok(Some(message)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::recycle::Cause;
    use super::*;

    fn read<M: DeserializeOwned>(line: &str) -> Option<M> {
        understood(line.as_bytes()).expect("it is an object")
    }

    #[test]
    fn what_another_version_adds_to_a_message_is_left_out() {
        assert_eq!(read(r#"{"kind": "serve", "gently": true}"#), Some(ToWorker::Serve));
        let counters = Counters { requests: 3, ..Counters::default() };
        let line = r#"{"kind": "counters", "requests": 3, "sockets": 4}"#;
        assert_eq!(read(line), Some(FromWorker::Counters(counters)));
    }

    #[test]
    fn what_another_version_does_not_tell_has_a_default() {
        assert_eq!(read(r#"{"kind": "ready"}"#), Some(FromWorker::Ready { about: String::new() }));
        let failed = FromWorker::Failed { reason: String::new(), details: String::new() };
        assert_eq!(read(r#"{"kind": "failed"}"#), Some(failed));
        assert_eq!(read(r#"{"kind": "counters"}"#), Some(FromWorker::Counters(Counters::default())));
        assert_eq!(read(r#"{"kind": "measured"}"#), Some(FromWorker::Measured(Box::default())));
        let retirement = Retirement { cause: Cause::Other, reason: String::new() };
        assert_eq!(read(r#"{"kind": "retiring"}"#), Some(FromWorker::Retiring(retirement)));
    }

    #[test]
    fn a_cause_that_another_version_knows_is_another_cause() {
        let line = r#"{"kind": "retiring", "cause": "boredom", "reason": "it is bored"}"#;
        let retirement = Retirement { cause: Cause::Other, reason: "it is bored".to_owned() };
        assert_eq!(read(line), Some(FromWorker::Retiring(retirement)));
    }

    #[test]
    fn a_message_that_only_another_version_knows_is_none() {
        assert_eq!(read::<ToWorker>(r#"{"kind": "sing", "song": [1]}"#), None);
        assert_eq!(read::<FromWorker>(r#"{"kind": "imported", "folders": 7}"#), None);
        assert!(understood::<ToWorker>(b"\x16\x03\x01 nonsense").is_err());
        assert!(understood::<ToWorker>(b"7").is_err());
    }
}
