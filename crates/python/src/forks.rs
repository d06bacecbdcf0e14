//! Forks: what two processes must not share.
//!
//! A server that forks after it has imported an application must not share random numbers with its children. An
//! application that forks in a request (`os.fork`, `multiprocessing`) copies a whole server: its listeners, its
//! connections, and the epoll instance that both processes would change. So the child gives all of these up at once,
//! and when the call into the application ends there, the process does too: the request is the parent's to answer.
//! Children that start another program, or end by `os._exit()`, never get that far.

#[cfg(target_os = "linux")]
#[path = "forks/descriptors.rs"]
mod descriptors;

use std::cell::RefCell;
use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use onion::LogLevel;
use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::runtime::Handle;

use crate::log::{Of, trace};

/// How many servers of this process serve.
static SERVERS: AtomicU32 = AtomicU32::new(0);
/// How often a fork has taken this process out of a server: it differs before and after a call into the application
/// that began in the parent.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// Whether the server that the calls of this process belong to is in another process.
static FORKED: AtomicBool = AtomicBool::new(false);
/// Whether a server of this process has taken signals.
static SIGNALS: AtomicBool = AtomicBool::new(false);

/// Makes Python call us in the child of each fork.
pub(crate) fn notice(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let given = PyDict::new(py);
    given.set_item("before", wrap_pyfunction!(before, module)?)?;
    given.set_item("after_in_parent", wrap_pyfunction!(after, module)?)?;
    given.set_item("after_in_child", wrap_pyfunction!(forked, module)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&given))?;
    Ok(())
}

thread_local! {
    /// The signals that this thread blocked before the fork that it is about.
    static BLOCKED: RefCell<Option<Py<PyAny>>> = const { RefCell::new(None) };
}

/// Holds signals back. The server's handlers would swallow one that reaches the child too early, as that of a
/// `multiprocessing.Process.terminate()` may.
#[pyfunction]
fn before(py: Python<'_>) -> PyResult<()> {
    if SIGNALS.load(Relaxed) {
        let signal = py.import("signal")?;
        let numbers = SIGNALS_TAKEN.iter().map(|name| signal.getattr(*name)).collect::<PyResult<Vec<_>>>()?;
        let blocked = signal.call_method1("pthread_sigmask", (signal.getattr("SIG_BLOCK")?, numbers))?;
        BLOCKED.set(Some(blocked.unbind()));
    }
    Ok(())
}

/// Lets them come, in either process.
#[pyfunction]
fn after(py: Python<'_>) -> PyResult<()> {
    if let Some(blocked) = BLOCKED.take() {
        let signal = py.import("signal")?;
        signal.call_method1("pthread_sigmask", (signal.getattr("SIG_SETMASK")?, blocked))?;
    }
    Ok(())
}

#[pyfunction]
fn forked(py: Python<'_>) -> PyResult<()> {
    let given_up = give_up(py);
    after(py).and(given_up)
}

/// In the child: gives up what is the server's.
fn give_up(py: Python<'_>) -> PyResult<()> {
    onion::forget_random();
    if SERVERS.swap(0, Relaxed) == 0 {
        return Ok(());
    }
    FORKS.fetch_add(1, Relaxed);
    FORKED.store(true, Relaxed);
    onion::log_as_fork(true);
    #[cfg(target_os = "linux")]
    descriptors::give_up();
    if SIGNALS.swap(false, Relaxed) { restore_signals(py) } else { Ok(()) }
}

/// Whether this process was forked from a server by its application. What waits for the server would wait forever.
pub(crate) fn is_forked() -> bool {
    FORKED.load(Relaxed)
}

/// A server that serves in this process.
pub(crate) struct Serving(());

impl Serving {
    /// Begins it on `runtime`. With `signals`, it takes those of this process.
    pub(crate) fn begin(runtime: &Handle, signals: bool) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        descriptors::remember(runtime)?;
        #[cfg(not(target_os = "linux"))]
        let _ = runtime;
        SERVERS.fetch_add(1, Relaxed);
        if signals {
            SIGNALS.store(true, Relaxed);
        }
        // A forked process may well have a server of its own.
        FORKED.store(false, Relaxed);
        onion::log_as_fork(false);
        Ok(Serving(()))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if SERVERS.fetch_sub(1, Relaxed) == 1 {
            SIGNALS.store(false, Relaxed);
            #[cfg(target_os = "linux")]
            descriptors::forget();
        }
    }
}

/// Calls into the application. Returns only in the process that has begun the call; `of` is the request.
#[inline]
pub(crate) fn in_parent<T>(
    py: Python<'_>,
    of: impl FnOnce() -> Of,
    call: impl FnOnce() -> PyResult<T>,
) -> PyResult<T> {
    let before = FORKS.load(Relaxed);
    let outcome = call();
    if FORKS.load(Relaxed) != before {
        end(py, &of(), outcome.err().as_ref());
    }
    outcome
}

/// Ends a process that was forked in a call, which has ended.
#[cold]
fn end(py: Python<'_>, of: &Of, error: Option<&PyErr>) -> ! {
    let (how, status) = match error {
        None => ("returned from", 0),
        Some(error) if error.is_instance_of::<PySystemExit>(py) => ("left", exit_status(py, error)),
        Some(_) => ("raised in", 1),
    };
    let raised = error.filter(|error| !error.is_instance_of::<PySystemExit>(py));
    let details = raised.map(|error| trace(py, error)).unwrap_or_default();
    let pid = std::process::id();
    let what = format!(
        "process {pid}, which the application forked on {of}, {how} the call: it ended with status {status}; end \
         such a process by os._exit()"
    );
    of.say(LogLevel::Warning, &what, &details);
    // SAFETY: it ends the process at once: nothing of the server, whose threads and connections
    // are the parent's, is dropped or flushed here.
    unsafe { _exit(status) }
}

/// The exit status that `sys.exit()` asked for.
fn exit_status(py: Python<'_>, error: &PyErr) -> c_int {
    match error.value(py).getattr("code") {
        Ok(code) if code.is_none() => 0,
        Ok(code) => code.extract().unwrap_or(1),
        Err(_) => 1,
    }
}

// SAFETY: as POSIX declares it in <unistd.h>.
unsafe extern "C" {
    fn _exit(status: c_int) -> !;
}

/// The signals that servers handle.
const SIGNALS_TAKEN: [&str; 5] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"];

/// Gives signals the handlers that Python knows of, in place of the server's own: so that they end the process again.
fn restore_signals(py: Python<'_>) -> PyResult<()> {
    let signal = py.import("signal")?;
    for name in SIGNALS_TAKEN {
        let number = signal.getattr(name)?;
        let known = signal.call_method1("getsignal", (&number,))?;
        let is_ours = known
            .getattr_opt("__module__")?
            .is_some_and(|module| module.extract::<&str>().is_ok_and(|module| module == "onionskin.workers"));
        let handler = match name {
            "SIGINT" if is_ours || known.is_none() => signal.getattr("default_int_handler")?,
            _ if is_ours || known.is_none() => signal.getattr("SIG_DFL")?,
            _ => known,
        };
        signal.call_method1("signal", (number, handler))?;
    }
    Ok(())
}
