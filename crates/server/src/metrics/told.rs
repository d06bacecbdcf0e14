//! The page as a whole: what is told once, the numbers, and what a supervisor knows beside them.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use super::exposition::Exposition;
use super::snapshot::Snapshot;
use super::workers::WorkersTold;

/// What a scraper is told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) since: SystemTime,
    pub(crate) numbers: Snapshot,
    /// How many connections wait to be accepted, by place.
    pub(crate) queues: Vec<(String, u64)>,
    /// None without a supervisor.
    pub(crate) workers: Option<WorkersTold>,
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let out = &mut Exposition(formatter);
        out.family("build_info", "gauge", "The version of onionskin.")?;
        out.labelled("build_info", "version", env!("CARGO_PKG_VERSION"), 1)?;
        let since = self.since.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        out.number("start_time_seconds", "gauge", "When the server was started.", since)?;
        let help = "Connections that wait to be accepted.";
        out.family("listen_queue", "gauge", help)?;
        for (place, length) in &self.queues {
            out.labelled("listen_queue", "place", place, *length)?;
        }
        write!(formatter, "{}", self.numbers)?;
        self.workers.as_ref().map_or(Ok(()), |workers| write!(formatter, "{workers}"))
    }
}
