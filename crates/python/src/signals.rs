//! What a server without workers makes of signals, and what it tells systemd of itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::Duration;

use server::{AccessLog, Notify, StopHandle, Terminal};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Does what signals ask for. As soon as it is made, none of them ends the process.
pub(crate) struct Attendant {
    signals: Signals,
    terminal: Terminal,
    stop: StopHandle,
    log: Option<Arc<AccessLog>>,
    systemd: Systemd,
    /// The signal that has begun the stop, or 0.
    caught: Arc<AtomicI32>,
}

/// The signals that a server knows.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    user: Signal,
    other_user: Signal,
}

/// What systemd is told, where it listens.
pub(crate) struct Systemd {
    notify: Notify,
    /// How the server does when nothing happens.
    status: String,
    /// Half of the time within which a sign of life is expected.
    pulse: Option<Duration>,
}

impl Systemd {
    /// `socket` is what `NOTIFY_SOCKET` says, `within` what `WATCHDOG_USEC` does; the places that are served are `bound`.
    pub(crate) fn new(socket: Option<&str>, within: Option<u64>, bound: &[String]) -> Self {
        let pulse = within.map(|within| Duration::from_micros(within) / 2).filter(|half| !half.is_zero());
        Systemd { notify: Notify::to(socket), status: format!("serves {}", bound.join(", ")), pulse }
    }

    fn ready(&self) {
        self.notify.ready(&self.status);
    }

    /// When signs of life are due.
    fn pulse(&self) -> Option<Interval> {
        let mut pulse = interval(self.pulse?);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(pulse)
    }
}

impl Attendant {
    /// Within a runtime.
    pub(crate) fn new(stop: StopHandle, log: Option<Arc<AccessLog>>, systemd: Systemd) -> io::Result<Self> {
        let signals = Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
            other_user: signal(SignalKind::user_defined2())?,
        };
        let terminal = Terminal::of_this_process();
        Ok(Attendant { signals, terminal, stop, log, systemd, caught: Arc::default() })
    }

    /// Where the signal that has begun the stop is noted.
    pub(crate) fn caught(&self) -> Arc<AtomicI32> {
        Arc::clone(&self.caught)
    }

    /// Serves the signals for good, and gives systemd its signs of life: this task runs where connections are attended.
    pub(crate) async fn attend(mut self) {
        self.systemd.ready();
        let mut pulse = self.systemd.pulse();
        loop {
            tokio::select! {
                _ = self.signals.interrupt.recv() => self.stop(SignalKind::interrupt()),
                _ = self.signals.terminate.recv() => self.stop(SignalKind::terminate()),
                _ = self.signals.hangup.recv() => self.hang_up(),
                _ = self.signals.user.recv() => self.reopen(),
                _ = self.signals.other_user.recv() => {
                    onion::report("no upgrade: it needs --workers 1 or more");
                }
                () = beat(pulse.as_mut()) => self.systemd.notify.alive(),
            }
        }
    }

    fn is_stopping(&self) -> bool {
        self.caught.load(Relaxed) != 0
    }

    /// A second signal means: now.
    fn stop(&mut self, signal: SignalKind) {
        if self.is_stopping() {
            return self.stop.abort();
        }
        self.caught.store(signal.as_raw_value(), Relaxed);
        self.systemd.notify.stopping();
        self.stop.begin();
    }

    /// The terminal was closed; or somebody asks for a reload, of which there is nothing but the logs here.
    fn hang_up(&mut self) {
        if self.is_stopping() {
            return;
        }
        if self.terminal.is_gone() {
            return self.stop(SignalKind::hangup());
        }
        self.systemd.notify.reloading();
        self.reopen();
        onion::report("no reload of the application: it needs --workers 1 or more");
        self.systemd.ready();
    }

    /// As logrotate and its like ask for it.
    fn reopen(&self) {
        onion::reopen_error_log();
        if let Some(log) = &self.log {
            log.reopen();
        }
    }
}

/// Waits until a sign of life is due, if any is expected.
async fn beat(pulse: Option<&mut Interval>) {
    match pulse {
        Some(pulse) => drop(pulse.tick().await),
        None => std::future::pending().await,
    }
}
