//! The server's options, declared once: the command line, `serve()` and the documentation read them from here.

use std::path::PathBuf;
use std::time::Duration;

use onion::{AddressRange, BodyBudget, LogFormat, LogLevel, LogPlace, Room, Size, Span, SpanOrOff};
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::admission::{AddressLimit, Connections, open_files};
use crate::health;
use crate::pace::Patience;
use crate::supervisor::{FileGlob, Workers};
use crate::tls::{ClientAuth, TlsVersion};
use crate::{Bind, Endpoint, HealthPath, LineFormat, MetricsPath, ReadyPath, UnixMode, UnixOwner};

/// What a server listens on, and what it allows a client.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Config {
    /// Where to listen: HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH; https://HOST:PORT for TLS, redirect://HOST:PORT to
    /// send clients there; `fd://N` or systemd:NAME for a socket that the process was started with.
    #[serde(deserialize_with = "places")]
    pub bind: Vec<Bind>,
    /// How many calls into the application may run at once, 1 to 1024.
    #[serde(deserialize_with = "threads")]
    #[schemars(range(min = 1, max = 1024))]
    pub threads: u16,
    /// How many connections a process takes: a number, or auto for three quarters of the files that it may have open.
    /// Beyond it, the one that has been idle the longest is closed.
    pub connections: Connections,
    /// How many connections a client address may have open, in each process: a number, 0 for no limit, or auto for half of
    /// `connections`. Further ones are closed. An IPv6 network of 64 bits counts as one address.
    pub address_connections: AddressLimit,
    /// How many TLS handshakes of a client address may be in progress: a number, 0 for no limit, or auto for 1024. Further
    /// connections are closed.
    pub address_handshakes: AddressLimit,
    /// How many requests of a client address may be in flight, HTTP/2 streams included: a number, 0 for no limit, or auto for
    /// half of `connections`. Further ones are answered 429, further streams are refused.
    pub address_requests: AddressLimit,
    /// Client addresses without these limits, such as those of reverse proxies. Unix sockets have none.
    pub address_exempt: Vec<AddressRange>,
    /// How many connections the kernel may keep waiting to be accepted.
    pub backlog: u16,
    /// Who may connect to Unix sockets: the mode of their files, such as 0660; umask leaves it to that.
    pub unix_mode: UnixMode,
    /// Whose the files of Unix sockets are: user, user:group or :group; the server's own if it is not given.
    pub unix_owner: Option<UnixOwner>,
    /// Whether other processes may listen on the same TCP ports (`SO_REUSEPORT`): the kernel spreads connections over
    /// all that do.
    pub reuse_port: bool,
    /// How many worker processes serve: a number, or auto for one a processor. With 0, the process serves by itself.
    pub workers: Workers,
    /// Whether the application is imported once, by a process that workers are then forked from, so that they share its
    /// memory; on Linux. Threads that importing it starts are refused: a fork would lose them.
    pub preload: bool,
    /// Whether a change of a module, or of the configuration's file, begins a reload: for development. Without workers,
    /// one is started.
    pub reload: bool,
    /// Globs of further files whose change begins a reload, such as templates/**/*.html or .env.
    pub reload_include: Vec<FileGlob>,
    /// Globs of files whose change does not.
    pub reload_exclude: Vec<FileGlob>,
    /// How long a worker may take to become ready: to import the application, and to answer at `ready_path`.
    pub boot_timeout: Span,
    /// Replace a worker that has not been able to run Python for this long: its interpreter is held, or it is stopped;
    /// or off. Calls that take long but let others run are no reason.
    pub worker_timeout: SpanOrOff,
    /// A path, or `http://HOST/PATH`, that a worker must answer with 2xx before it serves; 503 is asked again.
    pub ready_path: Option<ReadyPath>,
    /// The Unix socket over which onionskin status, reload and upgrade reach the server; for this user alone.
    pub control: Option<String>,
    /// The file that the number of the main process is written to, for tools that send it signals; removed at the end.
    pub pid_file: Option<PathBuf>,
    /// After so many requests a worker is replaced; 0 is never.
    pub max_requests: u32,
    /// Up to so many more, another number for each worker, so that not all are replaced at once.
    pub max_requests_jitter: u32,
    /// After so long a worker is replaced, up to a tenth earlier; 0 is never.
    pub max_lifetime: Span,
    /// A worker that has so much memory (resident, on Linux) is replaced; 0 is never.
    pub max_memory: Size,
    /// How long workers go on serving after SIGTERM or SIGINT, while readiness says that they leave.
    pub drain_delay: Span,
    /// How long in-flight requests may take to finish after SIGTERM or SIGINT.
    pub graceful_timeout: Span,
    /// How long a client may take to send a request head, from the connection's or the head's first byte.
    #[serde(deserialize_with = "some_time")]
    pub header_timeout: Span,
    /// How long an idle connection is kept for a further request; with 0, each answer is its connection's last.
    pub keep_alive: Span,
    /// How long a client may pause while it sends a request body.
    #[serde(deserialize_with = "some_time")]
    pub body_timeout: Span,
    /// How many bytes a second a client must send of a request body, on average, once it has been waited for during 5
    /// seconds; a slower one is answered 408. 0 is no such bound.
    pub body_min_rate: Size,
    /// How long a client may pause while it takes a response.
    #[serde(deserialize_with = "some_time")]
    pub write_timeout: Span,
    /// How many bytes a second a client must take of a response, on average, once it has been waited for during 5 seconds.
    /// Otherwise its connection is closed, of HTTP/2 the stream. 0 is no such bound.
    pub write_min_rate: Size,
    /// The longest request line; a longer one is answered 414.
    #[serde(deserialize_with = "some_bytes")]
    pub max_request_line: Size,
    /// The largest request head; a larger one is answered 431.
    #[serde(deserialize_with = "some_bytes")]
    pub max_head: Size,
    /// The most header fields in a request; more are answered 431.
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(range(min = 1))]
    pub max_headers: u16,
    /// The largest request body; a larger one is answered 413. With 0, no request may have one.
    pub max_body: Size,
    /// Up to this size, a request body waits for the application in memory; beyond it, in a temporary file.
    pub spool_memory: Size,
    /// How much memory all request bodies of a process may have together, with the receive windows of HTTP/2 connections
    /// on which some arrive; beyond it, bodies go to temporary files from their first byte.
    pub body_memory_total: Size,
    /// How much all temporary files of request bodies in a process may have together, and never less than one body of
    /// `max_body`. Beyond it, the slowest and largest of those that are arriving are answered 503.
    pub body_spool_total: Size,
    /// Up to this size, what a client has not taken yet of a response that is made block by block waits in memory;
    /// beyond it, in a temporary file.
    pub response_spool_memory: Size,
    /// How large that file may be, so that the call can end while the client is slow; with 0 there is none. Beyond it,
    /// the application waits.
    pub response_spool: Size,
    /// How much all these files of a process may have together.
    pub response_spool_total: Size,
    /// Pages for requests that the server rejects before any layer sees them (400, 408, 414, 431 and the like): a folder
    /// with pages named as for the Errors layer (400.html, 4xx.html), default for a built-in page, or off for one line
    /// of text.
    pub error_pages: String,
    /// How many requests may wait for their turn to call the application, once all threads are busy; further ones are
    /// answered 503.
    pub queue: u32,
    /// How long a request may wait for its turn; then it is answered 503.
    pub queue_timeout: Span,
    /// How long a call into the application may take, to the end of its response: then the client is answered 504, and
    /// an exception raised in the call; or off.
    pub request_timeout: SpanOrOff,
    /// How long a call may go on after that before it counts as stuck, and is told of with its stack.
    pub request_timeout_kill: Span,
    /// The path below which live and ready tell how the server is, without calling the application; or off.
    pub health_path: HealthPath,
    /// Which clients may ask how the server is; others get the application's answer.
    pub health_allow: Vec<AddressRange>,
    /// Where metrics are told, in the format of Prometheus, at /metrics; nowhere if it is not given.
    pub metrics_bind: Vec<Bind>,
    /// A path of the site itself on which they are told, without calling the application, such as /-/metrics; or off.
    pub metrics_path: MetricsPath,
    /// Which clients may ask there; others get the application's answer.
    pub metrics_allow: Vec<AddressRange>,
    /// Where a line for each request goes: off, - for standard output, or a file.
    pub access_log: LogPlace,
    /// How a line of the access log looks: combined, json, or a template such as "{remote} {status} {duration}".
    pub access_log_format: LineFormat,
    /// Paths that the access log leaves out, as globs such as /static/**.
    pub access_log_skip: Vec<String>,
    /// Header fields whose values the access log shows as ***.
    pub access_log_mask_headers: Vec<String>,
    /// Parameters of the query whose values the access log shows as ***; * for all.
    pub access_log_mask_query: Vec<String>,
    /// Where the server says what goes wrong, and the application's tracebacks: - for standard error, a file, or off.
    pub error_log: LogPlace,
    /// Lowest level that is logged there: error, warning, info or debug.
    pub error_log_level: LogLevel,
    /// How a line of it looks: text or json.
    pub error_log_format: LogFormat,
    /// The collector that spans of requests are sent to, as OTLP over HTTP, such as `http://127.0.0.1:4318`; none if it
    /// is not given.
    pub otlp_endpoint: Option<Endpoint>,
    /// What the service is called there.
    pub otlp_service: String,
    /// The share of requests that is recorded, from 0 to 1, where a trace begins here.
    #[serde(deserialize_with = "share")]
    #[schemars(range(min = 0, max = 1))]
    pub otlp_sample: f64,
    /// Whether a trace that comes with a request goes on here. Only behind a proxy that sets `traceparent` itself.
    pub otlp_trust_inbound: bool,
    /// The file of a certificate for TLS, in PEM form, with its chain below it; of several, the client's name chooses.
    pub tls_certificate: Vec<PathBuf>,
    /// The file of the private key of each certificate, in the same order.
    pub tls_key: Vec<PathBuf>,
    /// The file of the authorities whose certificates clients may show; without one, they are not asked.
    pub tls_client_ca: Option<PathBuf>,
    /// Whether a client has to show a certificate, where it is asked for one.
    pub tls_client_auth: ClientAuth,
    /// The oldest version of TLS that is spoken.
    pub tls_min_version: TlsVersion,
    /// A file of 80 bytes of chance that is the same on several machines, so that sessions are resumed on each of them. Of
    /// several, the first seals tickets, and all of them open what they have sealed. Without one, the keys are made here.
    pub tls_ticket_key: Vec<PathBuf>,
    /// How long a client may take for the TLS handshake, from when it was accepted.
    #[serde(deserialize_with = "some_time")]
    pub tls_handshake_timeout: Span,
    /// Whether HTTP/2 is spoken: where TLS settles on it, and without TLS by prior knowledge.
    pub http2: bool,
    /// How many requests a client may have open at once on a connection of HTTP/2.
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(range(min = 1))]
    pub http2_streams: u32,
    /// How many requests more a client may take back than it lets be answered, and how many HTTP/2 frames it may send that
    /// ask for nothing (PRIORITY, SETTINGS, empty DATA, unknown types), until its connection is closed. Each request or
    /// piece of a body allows for 8 such frames more.
    pub http2_resets: u32,
    /// The balancers that begin each connection with the PROXY protocol; nobody else may connect then.
    pub proxy_protocol_from: Vec<AddressRange>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            bind: vec![Bind::default()],
            threads: 4,
            connections: Connections::default(),
            address_connections: AddressLimit::default(),
            address_handshakes: AddressLimit::default(),
            address_requests: AddressLimit::default(),
            address_exempt: health::private(),
            backlog: 2048,
            unix_mode: UnixMode::default(),
            unix_owner: None,
            reuse_port: false,
            workers: Workers::default(),
            preload: false,
            reload: false,
            reload_include: Vec::new(),
            reload_exclude: Vec::new(),
            boot_timeout: Span::seconds(60),
            worker_timeout: SpanOrOff(Some(Span::seconds(30))),
            ready_path: None,
            control: None,
            pid_file: None,
            max_requests: 0,
            max_requests_jitter: 0,
            max_lifetime: Span::seconds(0),
            max_memory: Size(0),
            drain_delay: Span::seconds(0),
            graceful_timeout: Span::seconds(30),
            header_timeout: Span::seconds(10),
            keep_alive: Span::seconds(60),
            body_timeout: Span::seconds(30),
            body_min_rate: Size(240),
            write_timeout: Span::seconds(60),
            write_min_rate: Size(240),
            max_request_line: Size(8190),
            max_head: Size(64 << 10),
            max_headers: 100,
            max_body: Size(100 << 20),
            spool_memory: Size(64 << 10),
            body_memory_total: Size(64 << 20),
            body_spool_total: Size(2 << 30),
            response_spool_memory: Size(128 << 10),
            response_spool: Size(64 << 20),
            response_spool_total: Size(1 << 30),
            error_pages: "off".to_owned(),
            queue: 1024,
            queue_timeout: Span::seconds(30),
            request_timeout: SpanOrOff(None),
            request_timeout_kill: Span::seconds(30),
            health_path: HealthPath::default(),
            health_allow: health::private(),
            metrics_bind: Vec::new(),
            metrics_path: MetricsPath::default(),
            metrics_allow: health::private(),
            access_log: LogPlace::Off,
            access_log_format: LineFormat::default(),
            access_log_skip: Vec::new(),
            access_log_mask_headers: MASKED.map(str::to_owned).to_vec(),
            access_log_mask_query: Vec::new(),
            error_log: LogPlace::Standard,
            error_log_level: LogLevel::default(),
            error_log_format: LogFormat::default(),
            otlp_endpoint: None,
            otlp_service: "onionskin".to_owned(),
            otlp_sample: 1.0,
            otlp_trust_inbound: false,
            tls_certificate: Vec::new(),
            tls_key: Vec::new(),
            tls_client_ca: None,
            tls_client_auth: ClientAuth::default(),
            tls_min_version: TlsVersion::default(),
            tls_ticket_key: Vec::new(),
            tls_handshake_timeout: Span::seconds(10),
            http2: true,
            http2_streams: 100,
            http2_resets: 100,
            proxy_protocol_from: Vec::new(),
        }
    }
}

impl Config {
    /// Whether workers serve, under a supervisor.
    pub fn is_supervised(&self) -> bool {
        self.workers.number() > 0 || self.reload
    }

    /// The first option that means something to workers only, if it is not as it would be without them.
    pub fn needs_workers(&self) -> Option<&'static str> {
        let default = Config::default();
        let changed = [
            ("workers", self.workers != default.workers),
            ("preload", self.preload != default.preload),
            ("reload", self.reload != default.reload),
            ("reload_include", self.reload_include != default.reload_include),
            ("reload_exclude", self.reload_exclude != default.reload_exclude),
            ("boot_timeout", self.boot_timeout != default.boot_timeout),
            ("worker_timeout", self.worker_timeout != default.worker_timeout),
            ("ready_path", self.ready_path != default.ready_path),
            ("control", self.control != default.control),
            ("max_requests", self.max_requests != default.max_requests),
            ("max_requests_jitter", self.max_requests_jitter != default.max_requests_jitter),
            ("max_lifetime", self.max_lifetime != default.max_lifetime),
            ("max_memory", self.max_memory != default.max_memory),
            ("drain_delay", self.drain_delay != default.drain_delay),
        ];
        changed.into_iter().find(|(_, changed)| *changed).map(|(name, _)| name)
    }

    /// How far applications may be ahead of their clients.
    pub fn room(&self) -> Room {
        Room::new(self.response_spool_memory.0, self.response_spool.0, self.response_spool_total.0)
    }

    /// How slowly a client may take a response.
    pub(crate) fn patience(&self) -> Patience {
        Patience { pause: self.write_timeout.0, rate: self.write_min_rate.0 }
    }

    /// What request bodies may take together.
    pub fn bodies(&self) -> BodyBudget {
        // Connections have their share of the open files, and the application needs some, too.
        let files = (open_files() / 8).max(LEAST_FILES);
        let file = self.body_spool_total.0.max(self.max_body.0);
        BodyBudget::new(self.body_memory_total.0, file, files)
    }

    /// The limits on a request head, as the parser takes them.
    pub(crate) fn head_limits(&self) -> http1::Limits {
        let size = |size: Size| usize::try_from(size.0).unwrap_or(usize::MAX);
        http1::Limits {
            request_line: size(self.max_request_line),
            head: size(self.max_head),
            headers: self.max_headers.into(),
        }
    }
}

/// The fields that prove who somebody is.
const MASKED: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

fn places<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Bind>, D::Error> {
    let places = Vec::<Bind>::deserialize(deserializer)?;
    let refused = || D::Error::custom("there is nothing to listen on; give a place, such as 127.0.0.1:8000");
    if places.is_empty() { Err(refused()) } else { Ok(places) }
}

fn threads<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let threads = u16::deserialize(deserializer)?;
    let fits = (1..=1024).contains(&threads);
    fits.then_some(threads).ok_or_else(|| D::Error::custom("out of range")) // what fits is told by the schema
}

/// What no request could fit into is refused: it is not what other servers take a 0 for, no bound at all.
fn at_least_one<'de, D: Deserializer<'de>, N: Deserialize<'de> + Default + PartialEq>(
    deserializer: D,
) -> Result<N, D::Error> {
    let number = N::deserialize(deserializer)?;
    if number == N::default() { Err(D::Error::custom("out of range")) } else { Ok(number) }
}

fn some_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    let size = Size::deserialize(deserializer)?;
    let refused = || D::Error::custom("a size of 0 leaves none; write 8KiB or 64KiB");
    if size.0 == 0 { Err(refused()) } else { Ok(size) }
}

fn some_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let span = Span::deserialize(deserializer)?;
    let refused = || D::Error::custom("a time of 0 leaves none; write 30s or 5m");
    if span.0.is_zero() { Err(refused()) } else { Ok(span) }
}

fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let share = f64::deserialize(deserializer)?;
    (0.0..=1.0).contains(&share).then_some(share).ok_or_else(|| D::Error::custom("out of range"))
}

/// So many files request bodies may have in any case.
const LEAST_FILES: u64 = 16;

/// How long the rest of a body may take that is only read to keep the connection.
pub(crate) const DRAINING: Duration = Duration::from_secs(2);

/// How long a connection that is being closed goes on reading, so that the client gets to see the answer, and how
/// long it may pause and how much it may send meanwhile.
pub(crate) const LINGER: Duration = Duration::from_secs(10);
pub(crate) const LINGER_PAUSE: Duration = Duration::from_secs(2);
pub(crate) const LINGER_MOST: usize = 16 << 20;

/// In a gentle stop, a connection that was accepted or used within this time may send one more request.
pub(crate) const LAST_CHANCE: Duration = Duration::from_secs(1);

/// How much of an unwanted request body is read, to keep the connection, before it is closed instead.
pub(crate) const DRAIN: usize = 256 * 1024;
