//! The course of a connection: its client's first frames, its pauses, and its end.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use onion::Trouble;
use tokio::time::Instant;

use super::intake::Refusals;
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
    /// They have not come, and others are already not taken any more.
    LateGreeting,
    Serving,
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
        if self.wire.is_overdone() {
            self.shared.incidents.count(Incident::Overdone);
            IDLE_FRAMES.report(|| {
                "a client sent too many HTTP/2 frames that ask for nothing: its connection is closed"
                    .to_owned()
            });
            return Poll::Ready(None);
        }
        self.attend(context, deadline, connection.as_mut());
        let config = &self.shared.config;
        loop {
            ready!(deadline.poll(context));
            match self.stage {
                Stage::Greeting | Stage::LateGreeting if !self.has_greeted() => return Poll::Ready(None),
                Stage::Greeting | Stage::LateGreeting => {
                    self.stage = Stage::Serving;
                    deadline.set(config.keep_alive.0);
                }
                Stage::Serving => match self.tally.idle() {
                    Some(idle) if idle >= config.keep_alive.0 => {
                        if self.wire.part() {
                            return Poll::Ready(Some(FAREWELL));
                        }
                        let (sent, patience) = (self.wire.sent(), config.write_timeout.0);
                        self.close(sent, patience, context, connection.as_mut());
                        deadline.set(patience);
                    }
                    Some(idle) => deadline.set(config.keep_alive.0.saturating_sub(idle)),
                    None => deadline.set(config.keep_alive.0),
                },
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

    /// Begins to leave once the server stops, or somebody else needs the place.
    fn attend<C: Close>(&mut self, context: &Context<'_>, deadline: &mut Deadline, connection: Pin<&mut C>) {
        let is_last = self.shared.stop.is_stopping() || self.tally.seat.is_over();
        match self.stage {
            Stage::Greeting if is_last && !self.has_greeted() => {
                self.stage = Stage::LateGreeting;
                deadline.set(LATE);
            }
            Stage::Greeting | Stage::LateGreeting | Stage::Serving if is_last && self.has_greeted() => {
                if self.wire.refuse() {
                    let patience = REFUSED_WAIT.min(self.shared.config.graceful_timeout.0 / 2);
                    self.stage = Stage::Refusing { until: Instant::now() + patience, pings: 0 };
                    deadline.set(Duration::ZERO);
                } else {
                    self.close(0, FAREWELL, context, connection);
                    deadline.set(FAREWELL);
                }
            }
            Stage::Refusing { pings, .. } if self.wire.refusals().answered == pings => {
                deadline.set(Duration::ZERO);
            }
            _ => {}
        }
    }

    /// Has the connection take no further streams.
    fn close<C: Close>(
        &mut self,
        sent: u64,
        patience: Duration,
        context: &Context<'_>,
        connection: Pin<&mut C>,
    ) {
        self.stage = Stage::Closing { sent, patience };
        connection.close();
        // What the connection still has to say it says when it is polled next.
        context.waker().wake_by_ref();
    }

    /// Waits until a client whose streams are refused can be told so without loss. How long to wait on, if at all.
    fn refuse(&mut self, until: Instant, pings: u32) -> Option<Duration> {
        let Refusals { last, refused, answered } = self.wire.refusals();
        let is_over = until <= Instant::now();
        let Some(idle) = self.tally.idle() else {
            if refused > 0 && is_over && self.wire.part() {
                self.stage = Stage::Closing { sent: 0, patience: FAREWELL };
            }
            return Some(FAREWELL);
        };
        // httpx reads for one of its requests at a time, which finds the answers of the others only after a read of its
        // own: that each has read it shows by a PING of its own. While it waits for nothing it does not read, and makes
        // its next request unless it has been idle for long.
        let is_shed = self.tally.seat.is_over();
        let keeps = if is_shed { TICK } else { HTTPX_KEEPS };
        let has_read = answered > refused || refused == 0 && idle >= keeps;
        let is_due = if last == 0 { is_over || is_shed } else { has_read || refused > 0 && is_over };
        if is_due && self.wire.part() {
            return None;
        }
        if answered == pings && self.wire.ping() {
            self.stage = Stage::Refusing { until, pings: pings + 1 };
        }
        Some(TICK)
    }

    fn has_greeted(&self) -> bool {
        self.wire.received() >= GREETING
    }
}

/// Any client can cause it, as often as it likes: the log is not its to fill.
static TAKEN_BACK: Trouble = Trouble::new();
static IDLE_FRAMES: Trouble = Trouble::new();

/// How long the first frames of a client may take when others are already not taken any more.
const LATE: Duration = Duration::from_secs(1);

/// For so long httpx uses an idle connection, unless it is told otherwise.
const HTTPX_KEEPS: Duration = Duration::from_secs(5);

/// How often is looked whether a client can be told.
const TICK: Duration = Duration::from_millis(50);

/// How long requests that were not taken wait for the answers of those that were: httpx waits five seconds.
const REFUSED_WAIT: Duration = Duration::from_secs(3);

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
