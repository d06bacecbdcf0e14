//! The course of a connection: its client's first frames, its pauses, and its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use onion::Trouble;
use tokio::time::Instant;

use super::stream::Tally;
use super::wire::Wire;
use crate::deadline::Deadline;
use crate::metrics::Incident;
use crate::shared::Shared;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The client's first frames have not come.
    Greeting,
    Serving,
    /// No further streams are to be taken once the client waits for nothing, or then.
    Leaving {
        until: Instant,
    },
    /// No further streams are taken, which the client is told once it has read all answers, or then; and how many PINGs
    /// ask for that.
    Refusing {
        until: Instant,
        pings: u32,
    },
    /// No further streams are taken: how much had been sent when that was last looked at, and how long no more of it may
    /// be sent, once there are no streams.
    Closing {
        sent: u64,
        patience: Duration,
    },
}

/// Looks after the course of a connection.
pub(super) struct Course<'a> {
    shared: &'a Shared,
    wire: &'a Wire,
    tally: &'a Tally,
    stage: Stage,
}

impl<'a> Course<'a> {
    pub(super) fn new(shared: &'a Shared, wire: &'a Wire, tally: &'a Tally) -> Self {
        Course { shared, wire, tally, stage: Stage::Greeting }
    }

    /// Begins to leave once the server stops, or somebody else needs the place.
    pub(super) fn attend(&mut self, deadline: &mut Deadline) {
        let is_last = self.shared.stop.is_stopping() || self.tally.seat.is_over();
        if is_last && matches!(self.stage, Stage::Greeting | Stage::Serving) {
            let bound = self.shared.config.graceful_timeout.0 / 2;
            self.stage = if self.wire.refuse() {
                Stage::Refusing { until: Instant::now() + REFUSED_WAIT.min(bound), pings: 0 }
            } else {
                Stage::Leaving { until: Instant::now() + LAST_ANSWERS.min(bound) }
            };
            deadline.set(Duration::ZERO);
        }
    }

    /// Ready when the connection has to end by force; if the client should get to see what was sent last, with how long
    /// it may take nothing of that.
    pub(super) fn poll_cut<C: Close>(
        &mut self,
        context: &mut Context<'_>,
        deadline: &mut Deadline,
        mut connection: Pin<&mut C>,
    ) -> Poll<Option<Duration>> {
        if self.tally.is_too_much() {
            self.shared.incidents.count(Incident::Overdone);
            TAKEN_BACK.report(|| {
                "a client took back more requests than it let be answered: its connection is closed"
                    .to_owned()
            });
            return Poll::Ready(None);
        }
        let config = &self.shared.config;
        loop {
            ready!(deadline.poll(context));
            match self.stage {
                Stage::Greeting if !self.has_greeted() => return Poll::Ready(None),
                Stage::Greeting => {
                    self.stage = Stage::Serving;
                    deadline.set(config.keep_alive.0);
                }
                Stage::Serving => match self.tally.idle() {
                    Some(idle) if idle >= config.keep_alive.0 => {
                        if self.part() {
                            return Poll::Ready(Some(FAREWELL));
                        }
                        self.stage =
                            Stage::Closing { sent: self.wire.sent(), patience: config.write_timeout.0 };
                        connection.as_mut().close();
                        // What the connection still has to say it says when it is polled next.
                        context.waker().wake_by_ref();
                        deadline.set(config.write_timeout.0);
                    }
                    Some(idle) => deadline.set(config.keep_alive.0.saturating_sub(idle)),
                    None => deadline.set(config.keep_alive.0),
                },
                Stage::Leaving { until } => {
                    let wait = match self.tally.idle() {
                        Some(idle) => QUIET.saturating_sub(idle),
                        None => QUIET,
                    };
                    let wait = wait.min(until.saturating_duration_since(Instant::now()));
                    if self.is_quiet() && self.part() {
                        return Poll::Ready(Some(FAREWELL));
                    }
                    if wait.is_zero() {
                        self.stage = Stage::Closing { sent: 0, patience: FAREWELL };
                        connection.as_mut().close();
                        context.waker().wake_by_ref();
                    }
                    deadline.set(if wait.is_zero() { FAREWELL } else { wait });
                }
                Stage::Refusing { until, pings } => match self.refuse(until, pings) {
                    Some(wait) => deadline.set(wait),
                    None => return Poll::Ready(Some(FAREWELL)),
                },
                Stage::Closing { sent: before, patience } => {
                    let sent = self.wire.sent();
                    if sent == before && self.tally.idle().is_some() {
                        return Poll::Ready(None);
                    }
                    self.stage = Stage::Closing { sent, patience };
                    deadline.set(patience);
                }
            }
        }
    }

    /// Waits until a client whose streams are refused can be told so without loss. How long to wait on, if at all.
    fn refuse(&mut self, until: Instant, pings: u32) -> Option<Duration> {
        let (refused, answered) = self.wire.refused();
        let waits = self.tally.idle().is_none();
        if refused == 0 {
            return (!self.is_quiet() || !self.part()).then_some(QUIET);
        }
        // httpx reads for one of its requests at a time, which finds the answers of the others only after a read of its
        // own: what each has read it shows by a PING of its own.
        if !waits && answered > refused && self.part() {
            return None;
        }
        if until <= Instant::now() && self.part() {
            self.stage = Stage::Closing { sent: 0, patience: FAREWELL };
            return Some(FAREWELL);
        }
        if !waits && answered == pings && self.wire.ping() {
            self.stage = Stage::Refusing { until, pings: pings + 1 };
        }
        Some(if waits { QUIET } else { PING_WAIT })
    }

    /// Whether the client has waited for nothing for a while.
    fn is_quiet(&self) -> bool {
        self.tally.idle().is_some_and(|idle| idle >= QUIET)
    }

    fn has_greeted(&self) -> bool {
        self.wire.received() >= GREETING
    }

    /// Tells a client that waits for nothing that there are no further streams: in one frame, so that one which is just
    /// on its way is known not to be taken. Whether it could be told.
    fn part(&self) -> bool {
        self.has_greeted() && self.wire.part(self.tally.last_stream())
    }
}

/// Any client can cause it, as often as it likes: the log is not its to fill.
static TAKEN_BACK: Trouble = Trouble::new();

/// So long after its last answer a client has read it: some take the server's end for that of an answer on its way.
const QUIET: Duration = Duration::from_millis(50);

/// How long such a moment is waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How long requests that were not taken wait until those that were are answered: less than the five seconds after which
/// httpx gives them up.
const REFUSED_WAIT: Duration = Duration::from_secs(3);

/// How often is looked whether a PING was answered.
const PING_WAIT: Duration = Duration::from_millis(2);

/// How long a client gets to answer that it has understood the server's end, of which there are two frames.
const FAREWELL: Duration = Duration::from_secs(1);

/// The preface and the head of the SETTINGS that follow it, in bytes.
const GREETING: u64 = 24 + 9;

/// A connection that can be told to take no further streams (GOAWAY).
pub(super) trait Close {
    fn close(self: Pin<&mut Self>);
}

impl<I, S, E> Close for hyper::server::conn::http2::Connection<I, S, E>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::ResBody: http_body::Body + 'static,
    <S::ResBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, S::ResBody>,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
