//! Our server as a Python object: bound when it is made, serving when it is told to.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use onion::{ErrorLog, Handler, OptionError, SpoolLimits, reading, text_options};
use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use server::{
    AccessLog, Bind, Config, ErrorPages, HandedSocket, HandedSockets, Heartbeat, Imported, PidFile, Server,
    StopHandle, Tls, Tracer, UnixOwner, WorkerEnd,
};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::classes::handler_of;
use crate::forks::Serving;
use crate::heartbeat::Beating;
use crate::inward::{Environ, Native};
use crate::options::{ConfigurationError, options};
use crate::overdue::Overdue;
use crate::permits::{Permits, Queue};
use crate::signals::{Attendant, Systemd};
use crate::startup;
use crate::threads;
use crate::watchdog::Watchdog;
use crate::wsgi::Fixed;

/// A server of one application: `Server(app, options)`.
#[pyclass(name = "Server", frozen, module = "onionskin._core")]
pub(crate) struct PyServer {
    handler: Arc<dyn Handler>,
    stop: StopHandle,
    bound: Vec<String>,
    permits: Arc<Permits>,
    access_log: Option<Arc<AccessLog>>,
    tracer: Option<Arc<Tracer>>,
    /// Until it has served.
    own_log: Mutex<Option<OwnLog>>,
    pid_file: Option<PathBuf>,
    overdue: Option<Arc<Overdue>>,
    worker_timeout: Option<Duration>,
    // Taken by whoever serves; none once it was closed.
    server: Mutex<Option<Server>>,
}

/// The error log of this process, for as long as its server is there: one that could not begin leaves none behind.
struct OwnLog;

impl OwnLog {
    fn install(log: ErrorLog) -> Self {
        ErrorLog::install(Some(log));
        OwnLog
    }
}

impl Drop for OwnLog {
    fn drop(&mut self) {
        onion::close_error_log();
    }
}

#[pymethods]
impl PyServer {
    /// Binds at once. Raises `ConfigurationError` for a wrong option, `OSError` for a place that is taken.
    #[new]
    #[pyo3(signature = (app, options, sockets = None, handed = Vec::new(), /))]
    fn new(
        py: Python<'_>,
        app: &Bound<'_, PyAny>,
        options: &Bound<'_, PyDict>,
        sockets: Option<Vec<(RawFd, String)>>,
        handed: Vec<(RawFd, String)>,
    ) -> PyResult<Self> {
        let config = read_config(options)?;
        if sockets.is_none() {
            refuse_workers_options(&config)?;
        }
        let error_log = server::error_log(&config);
        let error_log = error_log.map_err(|error| ConfigurationError::new_err(error.to_string()))?;
        // Another server of this process may have one already.
        let error_log = error_log.or_else(|| (!ErrorLog::is_installed()).then(ErrorLog::standard));
        let own_log = error_log.map(OwnLog::install);
        let pid_file = config.pid_file.clone().filter(|_| sockets.is_none());
        let threads = usize::from(config.threads);
        let queue = Queue { most: config.queue as usize, patience: config.queue_timeout.0 };
        let permits = Permits::new(threads, queue);
        let multiprocess = sockets.is_some() && config.workers.number() > 1;
        let fixed = Fixed { multithread: threads > 1, multiprocess };
        let worker_timeout = config.worker_timeout.0.map(|limit| limit.0).filter(|limit| !limit.is_zero());
        let kill = config.request_timeout_kill.0;
        let overdue = config.request_timeout.0.map(|limit| Overdue::new(limit.0, kill));
        let (room, bodies) = (config.room().telling(permits.clone()), config.bodies());
        let environ = Environ::new(py, fixed)?;
        let spool = SpoolLimits { memory: config.spool_memory.0, total: config.max_body.0 };
        let (handler, _) = handler_of(app, "serve")?;
        let mut limits = Vec::new();
        handler.limits(&mut limits);
        permits.know(&limits);
        let access_log = AccessLog::open(&config)
            .map_err(|error| ConfigurationError::new_err(error.to_string()))?
            .map(Arc::new);
        let tracer = Tracer::start(&config)
            .map_err(|error| ConfigurationError::new_err(error.to_string()))?
            .map(Arc::new);
        let tls = Tls::load(&config).map_err(|error| ConfigurationError::new_err(error.to_string()))?;
        let error_pages =
            ErrorPages::load(&config).map_err(|error| ConfigurationError::new_err(error.to_string()))?;
        let server = match sockets {
            None => Server::bind_handed(config, &handed_over(handed))
                .map_err(|error| PyOSError::new_err(error.to_string()))?,
            Some(sockets) => Server::inherit(config, inherited_sockets(sockets)?)?,
        };
        let native = Native {
            permits: Arc::clone(&permits),
            environ,
            overdue: overdue.clone(),
            spool,
            room: room.clone(),
            bodies: bodies.clone(),
            stop: server.stop_handle(),
        };
        let server = server
            .sharing(Arc::new(native))
            .within(room, bodies)
            .logging(access_log.clone())
            .tracing(tracer.clone())
            .loaded(permits.clone())
            .speaking(tls.map(Arc::new))
            .rejecting_with(error_pages);
        Ok(PyServer {
            handler,
            stop: server.stop_handle(),
            bound: server.bound().iter().map(ToString::to_string).collect(),
            permits,
            access_log,
            tracer,
            own_log: Mutex::new(own_log),
            pid_file,
            overdue,
            worker_timeout,
            server: Mutex::new(Some(server)),
        })
    }

    /// Raises `ConfigurationError` for what a server of these options would refuse, and opens no socket and no log.
    #[staticmethod]
    #[pyo3(signature = (options, /))]
    fn check(options: &Bound<'_, PyDict>) -> PyResult<()> {
        let config = read_config(options)?;
        if !config.is_supervised() {
            refuse_workers_options(&config)?;
        }
        let checked = server::check_logs(&config)
            .and_then(|()| config.pid_file.as_deref().map_or(Ok(()), PidFile::check))
            .and_then(|()| config.unix_owner.as_ref().map_or(Ok(()), UnixOwner::check))
            .and_then(|()| Tls::load(&config).map(drop))
            .and_then(|()| ErrorPages::load(&config).map(drop));
        checked.map_err(|error| ConfigurationError::new_err(error.to_string()))
    }

    /// The places that it listens on, with the ports that the system chose.
    #[getter]
    fn bound(&self) -> Vec<String> {
        self.bound.clone()
    }

    /// Serves until `stop()`, or with `signals` until SIGINT or SIGTERM. Returns the signal's number, or 0; and
    /// whether every request was answered within the graceful timeout. `ready()` is called when signals are listened to:
    /// whoever hears of it may send one at once. With `signals` systemd is told at the socket `notify`, and within every
    /// `watchdog` microseconds.
    #[pyo3(signature = (*, signals, ready = None, notify = None, watchdog = None))]
    fn serve(
        &self,
        py: Python<'_>,
        signals: bool,
        ready: Option<Py<PyAny>>,
        notify: Option<&str>,
        watchdog: Option<u64>,
    ) -> PyResult<(i32, bool)> {
        let Some(server) = self.take() else { return Err(closed()) };
        py.detach(|| {
            let named = self.pid_file.as_deref().map(PidFile::claim).transpose();
            let _named = named.map_err(|error| ConfigurationError::new_err(error.to_string()))?;
            let running = self.run(signals)?;
            let outcome = running.runtime.block_on(async {
                let systemd = Systemd::new(notify, watchdog, &self.bound);
                let attendant = || Attendant::new(self.stop.clone(), self.access_log.clone(), systemd);
                let attendant = signals.then(attendant).transpose()?;
                if let Some(ready) = ready {
                    Python::attach(|py| ready.call0(py).map(drop))?;
                }
                startup::forget();
                let caught = attendant.as_ref().map(Attendant::caught).unwrap_or_default();
                let attending = attendant.map(|attendant| tokio::spawn(attendant.attend()));
                let graceful = server.serve(Arc::clone(&self.handler)).await?;
                if let Some(attending) = attending {
                    attending.abort();
                }
                Ok((caught.load(Relaxed), graceful))
            });
            running.wind_down();
            if let Some(overdue) = &self.overdue {
                overdue.stop();
            }
            self.close_logs();
            outcome
        })
    }

    /// Serves as a worker: `control` is the descriptor of the channel to the supervisor, who is told `about` when it is
    /// ready. `imported()` gives the folders that something was imported from since it was called last, for whoever
    /// watches them. Returns whether every request was answered.
    #[pyo3(signature = (control, about, imported = None, /))]
    fn work(
        &self,
        py: Python<'_>,
        control: RawFd,
        about: String,
        imported: Option<Py<PyAny>>,
    ) -> PyResult<bool> {
        let Some(server) = self.take() else { return Err(closed()) };
        py.detach(|| {
            startup::forget();
            let running = self.run(true)?;
            let channel = UnixStream::from(inherited(control));
            let heartbeat =
                self.worker_timeout.map(|limit| (Heartbeat::default(), Heartbeat::interval(limit)));
            let beating =
                heartbeat.as_ref().map(|(heartbeat, interval)| Beating::begin(heartbeat, *interval));
            let _beating = beating.transpose()?;
            let graceful = running.runtime.block_on(async {
                let stuck = self.overdue.as_ref().map(|overdue| overdue.stuck());
                let heartbeat = heartbeat.map(|(heartbeat, _)| heartbeat);
                let end = WorkerEnd::new(channel)?
                    .heeding(stuck)
                    .beating(heartbeat)
                    .telling(imported.map(folders_of));
                end.serve(server, Arc::clone(&self.handler), about).await
            });
            running.wind_down();
            self.close_logs();
            Ok(graceful?)
        })
    }

    /// Serves the first request of one connection; with `signals` SIGINT raises `KeyboardInterrupt`.
    #[pyo3(signature = (*, signals))]
    fn handle_request(&self, py: Python<'_>, signals: bool) -> PyResult<()> {
        let Some(server) = self.take() else { return Err(closed()) };
        let handled = py.detach(|| {
            let running = self.run(false)?;
            let outcome = running.runtime.block_on(async {
                let mut interrupt = signal(SignalKind::interrupt())?;
                tokio::select! {
                    done = server.serve_one(Arc::clone(&self.handler)) => done,
                    _ = interrupt.recv(), if signals => Ok(()),
                }
            });
            running.wind_down();
            if let Some(overdue) = &self.overdue {
                overdue.stop();
            }
            *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
            Ok(outcome?)
        });
        // Python's own handler has noticed it too.
        py.check_signals().and(handled)
    }

    /// How many calls have gone on after their timeout for longer than they may. Each holds a thread: whoever looks after
    /// this process should replace it.
    #[getter]
    fn stuck_calls(&self) -> u64 {
        self.overdue.as_ref().map_or(0, |overdue| *overdue.stuck().borrow())
    }

    /// Begins a graceful stop, from any thread.
    fn stop(&self) {
        self.stop.begin();
    }

    /// Gives up the sockets of a server that does not serve.
    fn close(&self) {
        drop(self.take());
    }
}

impl PyServer {
    /// Writes what is left to be written.
    fn close_logs(&self) {
        if let Some(log) = &self.access_log {
            log.close();
        }
        if let Some(tracer) = &self.tracer {
            tracer.close();
        }
        let own_log = self.own_log.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(own_log);
    }

    fn take(&self) -> Option<Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// One thread for each call that may run at once, and one for the network.
    fn run(&self, signals: bool) -> PyResult<Running> {
        let threads = self.permits.threads();
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads + 1)
            .max_blocking_threads(threads * 2 + SPARE_THREADS)
            .thread_stack_size(threads::STACK)
            .thread_keep_alive(KEEP_ALIVE)
            .thread_name("onionskin")
            .on_thread_stop(threads::release)
            .enable_all()
            .build()?;
        if let Some(overdue) = &self.overdue {
            overdue.start()?;
        }
        let watchdog = Watchdog::start(&self.permits, runtime.handle().clone())?;
        let serving = Serving::begin(runtime.handle(), signals)?;
        Ok(Running { runtime, watchdog, serving })
    }
}

/// Who asks Python for folders. What it raises is its own matter: nothing new is watched then.
fn folders_of(imported: Py<PyAny>) -> Imported {
    Arc::new(move || {
        Python::attach(|py| imported.bind(py).call0().and_then(|folders| folders.extract()))
            .unwrap_or_default()
    })
}

/// What a server runs on.
struct Running {
    runtime: Runtime,
    watchdog: Watchdog,
    serving: Serving,
}

impl Running {
    fn wind_down(self) {
        self.watchdog.stop();
        self.runtime.shutdown_timeout(WIND_DOWN);
        drop(self.serving);
    }
}

/// For threads that wait for a slow client while they hold an application's open iterable.
const SPARE_THREADS: usize = 64;

/// An application's thread-locals (database connections) should outlive a quiet hour.
const KEEP_ALIVE: Duration = Duration::from_secs(3600);

/// How long a call that can't be cut may hold up the end of the process.
const WIND_DOWN: Duration = Duration::from_millis(200);

/// What means something to workers only is a mistake where there are none.
fn refuse_workers_options(config: &Config) -> PyResult<()> {
    let Some(name) = config.needs_workers() else { return Ok(()) };
    let message = format!("{name}: it needs workers; run onionskin serve with --workers 1 or more");
    Err(ConfigurationError::new_err(message))
}

fn closed() -> PyErr {
    PyRuntimeError::new_err("the server is serving already, or was closed; make a new one")
}

/// Sockets that a worker was started with, and the places that they are bound to.
fn inherited_sockets(sockets: Vec<(RawFd, String)>) -> PyResult<Vec<(OwnedFd, Bind)>> {
    let sockets = sockets.into_iter().map(|(descriptor, place)| {
        let place = place.parse().map_err(PyRuntimeError::new_err::<String>)?;
        Ok((inherited(descriptor), place))
    });
    sockets.collect()
}

/// Sockets that whoever started this process has bound, with their names.
pub(crate) fn handed_over(handed: Vec<(RawFd, String)>) -> HandedSockets {
    let sockets = handed.into_iter().map(|(number, name)| {
        // A worker's sockets are copies: the number stays what it was.
        HandedSocket { number, name, socket: inherited(number) }
    });
    HandedSockets(sockets.collect())
}

/// A descriptor that this process was started with.
pub(crate) fn inherited(descriptor: RawFd) -> OwnedFd {
    // SAFETY: whoever started this process has opened it for it, and whoever calls this hands it over: it is named once,
    // in the environment, from where `onionskin.workers` and `onionskin.handed` take it away, and is known to be open.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// The server's options: as Python values, or as text.
pub(crate) fn read_config(given: &Bound<'_, PyDict>) -> PyResult<Config> {
    let schema = schemars::schema_for!(Config);
    let mut given = options(given)?;
    let mut read = || -> Result<Config, OptionError> {
        let texts = given.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
        let texts = text_options::from_text(&schema, texts)?;
        given.extend(texts);
        reading::check_names(&schema, &given, [])?;
        let config: Config = reading::read(std::mem::take(&mut given))?;
        config.check_places()?;
        config.check_metrics()?;
        if config.preload && !cfg!(target_os = "linux") {
            return Err(OptionError("preload: it needs Linux; leave it out".to_owned()));
        }
        Ok(config)
    };
    read().map_err(|error| ConfigurationError::new_err(error.to_string()))
}
