//! Calls into Python that take too long: the client is answered, the call gets an exception, the worker stays.
//!
//! A thread looks after the calls that run, where `request_timeout` is set. When a call is overdue its client gets 504 at
//! once, through the layers around the application, or a broken-off answer if the head has gone (see `inward/limited`);
//! neither takes the GIL, which the call may hold. Then a second
//! thread raises `RequestTimeout` in the call's thread. It arrives with the next line of Python: a call that waits in C
//! (`time.sleep`, a socket) gets it when it comes back. One that has not ended by `request_timeout_kill` is told of in
//! the log, with its stack, and counted as stuck.

use std::io;
use std::os::raw::c_long;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use onion::{LogLevel, Notes, Request};
use pyo3::exceptions::PyBaseException;
use pyo3::ffi;
use pyo3::prelude::*;
use tokio::sync::watch;

use crate::inward::Native;
use crate::log::Of;
use crate::threads::attached;

pyo3::create_exception!(
    onionskin,
    RequestTimeout,
    PyBaseException,
    "Raised in a call into the application that takes longer than ``request_timeout``.\n\n\
     It is no ``Exception``, so that what catches those lets it pass. The client has been answered by then."
);

/// The overdue calls of one server.
pub(crate) struct Overdue {
    limit: Duration,
    kill: Duration,
    running: Mutex<Running>,
    changed: Condvar,
    stuck: watch::Sender<u64>,
}

#[derive(Default)]
struct Running {
    calls: Vec<Arc<Call>>,
    /// When the thread that looks after them does so next; none if only a call brings it to that.
    next: Option<Instant>,
    closed: bool,
}

/// A call that is looked after.
struct Call {
    began: Instant,
    /// As Python counts its threads.
    thread: c_long,
    of: Of,
    notes: Option<Arc<Notes>>,
    state: Mutex<State>,
}

/// What was done about a call.
struct State {
    stage: Stage,
    /// The exception is set.
    raised: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    /// Its client is answered; the exception is on its way.
    Overdue,
    /// It has outlived the second bound.
    Stuck,
    Ended,
}

/// Something that takes the GIL.
enum Job {
    Raise(Arc<Call>),
    Tell(Arc<Call>),
}

/// Looks after a call until it is dropped. That is to be on the call's thread.
pub(crate) struct Timed {
    overdue: Arc<Overdue>,
    call: Arc<Call>,
}

impl Overdue {
    pub(crate) fn new(limit: Duration, kill: Duration) -> Arc<Self> {
        let stuck = watch::Sender::new(0);
        Arc::new(Overdue { limit, kill, running: Mutex::default(), changed: Condvar::new(), stuck })
    }

    /// Begins to look after the calls.
    pub(crate) fn start(self: &Arc<Self>) -> io::Result<()> {
        self.running().closed = false;
        let (jobs, taken) = channel();
        let looking = Arc::clone(self);
        thread::Builder::new()
            .name("onionskin-overdue".to_owned())
            .spawn(move || looking.look_after(&jobs))?;
        thread::Builder::new().name("onionskin-raise".to_owned()).spawn(move || work(&taken))?;
        Ok(())
    }

    /// Looks after no calls any more.
    pub(crate) fn stop(&self) {
        self.running().closed = true;
        self.changed.notify_all();
    }

    /// How many calls have outlived their exception so far. A worker that has such calls has lost their threads, and
    /// should ask for a successor.
    pub(crate) fn stuck(&self) -> watch::Receiver<u64> {
        self.stuck.subscribe()
    }

    /// Looks after the call for `request` that begins on this thread, with the GIL.
    pub(crate) fn watch(self: &Arc<Self>, request: &Request, notes: Option<Arc<Notes>>) -> Timed {
        // SAFETY: asks the system which thread this is.
        let thread = unsafe { ffi::PyThread_get_thread_ident() };
        let call = Arc::new(Call {
            began: Instant::now(),
            thread: thread.cast_signed(),
            of: Of::request(request),
            notes,
            state: Mutex::new(State { stage: Stage::Running, raised: false }),
        });
        let mut running = self.running();
        running.calls.push(Arc::clone(&call));
        // Others may be due later, or not at all any more.
        if running.next.is_none_or(|next| next > call.began + self.limit) {
            self.changed.notify_all();
        }
        drop(running);
        Timed { overdue: Arc::clone(self), call }
    }

    /// Waits until calls are overdue, and sees to them.
    fn look_after(&self, jobs: &Sender<Job>) {
        let mut running = self.running();
        while !running.closed {
            let now = Instant::now();
            let due = running.calls.iter().filter_map(|call| call.due(self)).min();
            running.next = due;
            running = match due {
                None => self.changed.wait(running).unwrap_or_else(PoisonError::into_inner),
                Some(due) if due > now => {
                    let waited = self.changed.wait_timeout(running, due - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    let is_due = |call: &&Arc<Call>| call.due(self).is_some_and(|due| due <= now);
                    let overdue: Vec<_> = running.calls.iter().filter(is_due).cloned().collect();
                    drop(running);
                    for call in overdue {
                        // If the other thread is gone, so is the interpreter.
                        let _ = call.advance(self).map(|job| jobs.send(job));
                    }
                    self.running()
                }
            }
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        lock(&self.running)
    }
}

/// Does what takes the GIL: it may take long to get it.
fn work(jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        attached(|py| match job {
            Job::Raise(call) => call.raise(py),
            Job::Tell(call) => call.tell_stack(py),
        });
    }
}

impl Call {
    /// When something is to be done about it.
    fn due(&self, overdue: &Overdue) -> Option<Instant> {
        match lock(&self.state).stage {
            Stage::Running => Some(self.began + overdue.limit),
            Stage::Overdue => Some(self.began + overdue.limit + overdue.kill),
            Stage::Stuck | Stage::Ended => None,
        }
    }

    /// Does what is due without the GIL, and gives what is to be done with it.
    fn advance(self: &Arc<Self>, overdue: &Overdue) -> Option<Job> {
        let mut state = lock(&self.state);
        match state.stage {
            Stage::Running => {
                state.stage = Stage::Overdue;
                // Below the lock: so that the call, and with it the answer, has not ended.
                if let Some(notes) = &self.notes {
                    notes.time_out();
                }
                drop(state);
                let limit = seconds(overdue.limit);
                let what = format!("{} takes longer than {limit}s: it is timed out", self.of);
                self.of.say(LogLevel::Warning, &what, "");
                Some(Job::Raise(Arc::clone(self)))
            }
            Stage::Overdue => {
                state.stage = Stage::Stuck;
                drop(state);
                overdue.stuck.send_modify(|stuck| *stuck += 1);
                let kill = seconds(overdue.kill);
                let what = format!("{} is stuck: it did not end {kill}s after it was timed out", self.of);
                self.of.say(LogLevel::Warning, &what, "");
                Some(Job::Tell(Arc::clone(self)))
            }
            Stage::Stuck | Stage::Ended => None,
        }
    }

    /// Raises the exception in the call's thread, if the call has not ended.
    fn raise(&self, py: Python<'_>) {
        let mut state = lock(&self.state);
        if state.stage == Stage::Ended {
            return;
        }
        state.raised = true;
        let exception = py.get_type::<RequestTimeout>();
        // SAFETY: the GIL is held, and the thread of a call that has not ended is there. The class is borrowed.
        unsafe { ffi::PyThreadState_SetAsyncExc(self.thread, exception.as_ptr()) };
    }

    /// Writes to the log where the call is stuck.
    fn tell_stack(&self, py: Python<'_>) {
        let stack = || -> PyResult<String> {
            let frames = py.import("sys")?.call_method0("_current_frames")?;
            let frame = frames.get_item(self.thread)?;
            let lines: Vec<String> =
                py.import("traceback")?.call_method1("format_stack", (frame,))?.extract()?;
            Ok(lines.concat())
        };
        if lock(&self.state).stage == Stage::Ended {
            return;
        }
        // It may have ended since: then its thread runs something else, or nothing.
        if let Ok(stack) = stack()
            && lock(&self.state).stage != Stage::Ended
        {
            let what = format!("where {} is stuck (most recent call last):", self.of);
            self.of.say(LogLevel::Error, &what, &stack);
        }
    }
}

impl Timed {
    /// Looks after the call for `request` that begins on this thread, with the GIL, if that is asked for.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let (server, context) = Native::of(request)?;
        Some(server.overdue.as_ref()?.watch(request, context.notes.clone()))
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        let mut running = self.overdue.running();
        if let Some(place) = running.calls.iter().position(|call| Arc::ptr_eq(call, &self.call)) {
            running.calls.swap_remove(place);
        }
        drop(running);
        let raised = {
            let mut state = lock(&self.call.state);
            state.stage = Stage::Ended;
            state.raised
        };
        if raised {
            attached(|_| {
                // SAFETY: the GIL is held. An exception that has not arrived yet would hit what runs here next.
                unsafe { ffi::PyThreadState_SetAsyncExc(self.call.thread, std::ptr::null_mut()) };
            });
        }
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// Nothing that runs under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
