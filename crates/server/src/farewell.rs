//! The wait at the end of a server: for its requests and connections, with lines in the log that say so.

use std::time::{Duration, SystemTime};

use onion::{Span, Timestamp, inform, report};
use tokio::pin;
use tokio::time::{sleep, timeout};

use crate::health::Loaded;
use crate::stop::{InFlight, StopHandle};

/// The end of one server.
pub(crate) struct Farewell<'a> {
    pub(crate) stop: &'a StopHandle,
    pub(crate) loaded: Option<&'a dyn Loaded>,
    /// How long requests in flight may take.
    pub(crate) bound: Span,
    pub(crate) is_worker: bool,
}

/// A stop that takes no longer than this needs no line.
const UNSAID: Duration = Duration::from_millis(500);

/// How often a stop that takes longer says what it still waits for.
const AGAIN: Duration = Duration::from_secs(10);

impl Farewell<'_> {
    /// Waits until every connection has ended, but no longer than allowed. Returns whether they all have.
    pub(crate) async fn wait(&self) -> bool {
        let until = Timestamp::from(SystemTime::now() + self.bound.0).to_string();
        let idle = timeout(self.bound.0, self.stop.idle());
        pin!(idle);
        let mut pause = UNSAID.min(self.bound.0 / 2);
        loop {
            tokio::select! {
                ended = &mut idle => return ended.unwrap_or(false),
                () = sleep(pause) => inform(&format!("{}, until {until} at the latest", self.awaited())),
            }
            pause = AGAIN;
        }
    }

    /// Reports what is cut off, unless a second signal has asked for that.
    pub(crate) fn report_cut(&self) {
        if self.stop.is_aborted() {
            return;
        }
        let InFlight { connections, requests } = self.stop.in_flight();
        let (requests, connections) = (count(requests, "request"), count(connections, "connection"));
        let bound = self.bound;
        report(&format!(
            "{requests} in flight and {connections} outlived the graceful timeout of {bound}: cut"
        ));
    }

    /// What the stop waits for.
    fn awaited(&self) -> String {
        let who = if self.is_worker {
            format!("worker {} stops", std::process::id())
        } else {
            "the server stops".to_owned()
        };
        let InFlight { connections, requests } = self.stop.in_flight();
        let connections = count(connections, "open connection");
        if requests == 0 {
            return format!("{who}: it waits for {connections} to close");
        }
        let load = self.loaded.map(Loaded::load).unwrap_or_default();
        let (requests, calls) = (count(requests, "request"), count(load.calls, "call"));
        format!(
            "{who}: it waits for {requests} in flight on {connections} ({calls} into the application running, \
             {} waiting in the queue)",
            load.waiting
        )
    }
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
