//! Blocks that come quickly one after the other leave together; none waits for the one after it.
//!
//! A write of a small block costs ten times what producing it costs. So what a body yields after its first block is
//! gathered for as long as it comes at once, up to a size. But the next block may be long in coming, with its producer blocking the very
//! thread that would write (a Python generator does). For that case a thread looks every millisecond, while anything
//! is gathered anywhere, and writes what has waited for a whole tick: no block is delayed by more than two.

use std::io::{self, IoSlice};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::incoming::Exchange;
use crate::respond::Broken;

/// What is gathered for one connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    exchange: Arc<Exchange>,
    gathered: Mutex<Gathered>,
}

#[derive(Debug, Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// The flusher knows of it.
    armed: bool,
    /// It was here at the last tick already.
    waited: bool,
    broken: bool,
}

/// What is to be done after something was gathered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing.
    GoOn,
    /// It is enough for a write.
    Write,
}

/// So much is enough for a write, in bytes.
const ENOUGH: usize = 32 * 1024;

impl Outbox {
    pub(crate) fn new(exchange: Arc<Exchange>) -> Arc<Self> {
        Arc::new(Outbox { exchange, gathered: Mutex::default() })
    }

    /// Gathers `parts`.
    pub(crate) fn gather(self: &Arc<Self>, parts: &[&[u8]], flusher: &Flusher) -> Result<Next, Broken> {
        let mut gathered = lock(&self.gathered);
        if gathered.broken {
            return Err(Broken::CLIENT);
        }
        for part in parts {
            gathered.bytes.extend_from_slice(part);
        }
        if gathered.bytes.len() >= ENOUGH {
            return Ok(Next::Write);
        }
        if !mem::replace(&mut gathered.armed, true) {
            drop(gathered);
            flusher.arm(self);
        }
        Ok(Next::GoOn)
    }

    /// Takes what is gathered, to write it.
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut gathered = lock(&self.gathered);
        gathered.waited = false;
        mem::take(&mut gathered.bytes)
    }

    /// Gives the memory back.
    pub(crate) fn give_back(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        let mut gathered = lock(&self.gathered);
        if gathered.bytes.is_empty() {
            gathered.bytes = bytes;
        }
    }

    /// One tick: writes what has waited for long enough. Tells whether there is anything left to look after.
    fn tick(&self) -> bool {
        let mut gathered = lock(&self.gathered);
        if gathered.bytes.is_empty() || gathered.broken {
            if self
                .exchange
                .writer()
                .try_flush()
                .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            {
                return true;
            }
            gathered.armed = false;
            return false;
        }
        if !mem::replace(&mut gathered.waited, true) {
            return true;
        }
        match self.exchange.try_write(&[IoSlice::new(&gathered.bytes)]) {
            Ok(written) => drop(gathered.bytes.drain(..written)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => gathered.broken = true,
        }
        true
    }
}

/// The thread that looks after what is gathered.
#[derive(Debug, Default)]
pub(crate) struct Flusher {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    armed: Vec<Arc<Outbox>>,
    begun: bool,
    closed: bool,
}

const TICK: Duration = Duration::from_millis(1);

impl Flusher {
    fn arm(&self, outbox: &Arc<Outbox>) {
        let mut state = lock(&self.shared.state);
        state.armed.push(Arc::clone(outbox));
        if !mem::replace(&mut state.begun, true) {
            let shared = Arc::clone(&self.shared);
            thread::Builder::new()
                .name("onionskin-flush".to_owned())
                .spawn(move || shared.look_after())
                .expect("the system has a thread left for a server");
        } else if state.armed.len() == 1 {
            self.shared.wake.notify_one();
        }
    }
}

impl Shared {
    fn look_after(&self) {
        loop {
            let mut state = lock(&self.state);
            while state.armed.is_empty() && !state.closed {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.closed {
                return;
            }
            drop(state);
            tick();
            let armed = mem::take(&mut lock(&self.state).armed);
            // Nothing more is gathered in one that nobody else has: its connection may end.
            let is_left = |outbox: &Arc<Outbox>| outbox.tick() && Arc::strong_count(outbox) > 1;
            let left: Vec<_> = armed.into_iter().filter(is_left).collect();
            lock(&self.state).armed.extend(left);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread whose work it is to let time pass")]
fn tick() {
    thread::sleep(TICK);
}

impl Drop for Flusher {
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.wake.notify_one();
    }
}

/// Nothing that runs under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
