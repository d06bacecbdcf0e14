//! Tells supervisors and balancers how the server is, ahead of all layers and without Python.
//!
//! `GET /-/live` is answered 200 for as long as the process attends its network. `GET /-/ready` is answered 200 while
//! further requests are welcome, and 503 when the server stops or its queue is full. Both are answered while every
//! thread of the application is stuck.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::ready;
use std::str::FromStr;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use onion::{AddressRange, Answer, Request, RequestExt, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Config;
use crate::stop::StopHandle;

/// How busy an application is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Calls that run.
    pub calls: usize,
    /// The most calls that may run at once.
    pub threads: usize,
    /// Requests that wait for their turn, for a thread or for their application's own limit.
    pub waiting: usize,
    /// Those of them that wait for their application's own limit.
    pub limited: usize,
    /// The most that may wait.
    pub queue: usize,
    /// Requests that were turned away since so many waited.
    pub refused: u64,
    /// Requests that were turned away since they had waited for too long.
    pub expired: u64,
}

impl Load {
    /// Whether a further request would be turned away.
    fn is_full(self) -> bool {
        self.waiting >= self.queue && (self.calls >= self.threads || self.limited > 0)
    }
}

/// Knows how busy an application is. It is asked by the threads that attend the network: it may not wait.
pub trait Loaded: Send + Sync {
    /// How busy it is now.
    fn load(&self) -> Load;

    /// How busy the applications with a limit of their own are.
    fn limits(&self) -> Vec<LimitLoad> {
        Vec::new()
    }
}

/// How busy an application with a limit of its own is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitLoad {
    /// The application.
    pub name: String,
    /// Its calls: those that run, and those that wait for nothing but a thread.
    pub calls: usize,
    /// The most calls that it may have at once.
    pub threads: usize,
    /// Requests that wait for its limit.
    pub waiting: usize,
    /// Its requests that were turned away since too many waited.
    pub refused: u64,
    /// Its requests that were turned away since they had waited for too long.
    pub expired: u64,
}

impl LimitLoad {
    /// Adds the numbers of other processes to these, by application.
    pub(crate) fn add_all(mine: &mut Vec<LimitLoad>, others: &[LimitLoad]) {
        for other in others {
            let Some(load) = mine.iter_mut().find(|load| load.name == other.name) else {
                mine.push(other.clone());
                continue;
            };
            load.calls += other.calls;
            load.threads += other.threads;
            load.waiting += other.waiting;
            load.refused += other.refused;
            load.expired += other.expired;
        }
    }
}

/// The path below which health is told: `/-/`, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", inline)]
pub struct HealthPath(Option<String>);

impl Default for HealthPath {
    fn default() -> Self {
        HealthPath(Some("/-/".to_owned()))
    }
}

impl FromStr for HealthPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_path = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
        match text {
            "off" => Ok(HealthPath(None)),
            path if path.starts_with('/') && path.ends_with('/') && is_path(path) => {
                Ok(HealthPath(Some(path.to_owned())))
            }
            _ => Err(format!("{text:?} is no path with a slash at both ends; write /-/, /health/ or off")),
        }
    }
}

impl TryFrom<String> for HealthPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<HealthPath> for String {
    fn from(path: HealthPath) -> String {
        path.0.unwrap_or_else(|| "off".to_owned())
    }
}

impl HealthPath {
    /// Whether health is told at `path`.
    pub(crate) fn tells_at(&self, path: &str) -> bool {
        let place = self.0.as_deref().and_then(|below| path.strip_prefix(below));
        place.is_some_and(|place| PLACES.contains(&place))
    }
}

/// What is told below it.
const PLACES: [&str; 2] = ["live", "ready"];

/// The addresses of this machine and of private networks (RFC 1918, RFC 3927, RFC 4193, RFC 4291).
pub(crate) fn private() -> Vec<AddressRange> {
    let ranges = [
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1",
        "fc00::/7",
        "fe80::/10",
    ];
    ranges.map(|range| range.parse().expect("a range")).to_vec()
}

/// Whether `request` comes from one of the `allowed` addresses.
#[cold]
pub(crate) fn may_ask(allowed: &[AddressRange], request: &Request) -> bool {
    match request.peer().address {
        Some(address) => allowed.iter().any(|range| range.contains(address)),
        // A Unix socket's clients are on this machine.
        None => true,
    }
}

/// Answers who asks how the server is.
pub(crate) struct Health {
    path: String,
    allowed: Vec<AddressRange>,
    stop: StopHandle,
    loaded: Option<Arc<dyn Loaded>>,
}

impl Health {
    pub(crate) fn new(config: &Config, stop: StopHandle, loaded: Option<Arc<dyn Loaded>>) -> Option<Self> {
        let path = config.health_path.0.clone()?;
        Some(Health { path, allowed: config.health_allow.clone(), stop, loaded })
    }

    /// Whether `request` asks how the server is, and may.
    #[inline]
    pub(crate) fn is_asked(&self, request: &Request) -> bool {
        request.uri().path().starts_with(&self.path) && self.is_allowed(request)
    }

    #[cold]
    fn is_allowed(&self, request: &Request) -> bool {
        PLACES.contains(&&request.uri().path()[self.path.len()..]) && may_ask(&self.allowed, request)
    }

    /// The answer to a request that asks.
    #[cold]
    pub(crate) fn answer(&self, request: &Request) -> Answer<'_> {
        let mut response = match *request.method() {
            Method::GET | Method::HEAD if request.uri().path().ends_with("ready") => self.readiness(),
            Method::GET | Method::HEAD => told(StatusCode::OK, "{\"status\":\"live\"}\n".to_owned()),
            _ => {
                let mut response =
                    told(StatusCode::METHOD_NOT_ALLOWED, "{\"status\":\"method not allowed\"}\n".to_owned());
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
        };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Box::pin(ready(response))
    }

    fn readiness(&self) -> Response {
        let load = self.loaded.as_ref().map(|loaded| loaded.load()).unwrap_or_default();
        let (status, word) = if self.stop.is_leaving() {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping")
        } else if self.loaded.is_some() && load.is_full() {
            (StatusCode::SERVICE_UNAVAILABLE, "full")
        } else {
            (StatusCode::OK, "ready")
        };
        let Load { calls, threads, waiting, queue, .. } = load;
        let mut facts =
            format!("\"calls\":{calls},\"threads\":{threads},\"waiting\":{waiting},\"queue\":{queue}");
        let limits = self.loaded.as_ref().map(|loaded| loaded.limits()).unwrap_or_default();
        if !limits.is_empty() {
            let loads = limits.iter().map(|limit| {
                let LimitLoad { name, calls, threads, waiting, .. } = limit;
                (name, serde_json::json!({"calls": calls, "threads": threads, "waiting": waiting}))
            });
            let loads: BTreeMap<_, _> = loads.collect();
            let _ = write!(facts, ",\"applications\":{}", serde_json::json!(loads));
        }
        told(status, format!("{{\"status\":\"{word}\",{facts}}}\n"))
    }
}

fn told(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stuck(Load);

    impl Loaded for Stuck {
        fn load(&self) -> Load {
            self.0
        }
    }

    fn health(load: Load) -> (Health, StopHandle) {
        let stop = StopHandle::default();
        let loaded: Arc<dyn Loaded> = Arc::new(Stuck(load));
        (Health::new(&Config::default(), stop.clone(), Some(loaded)).expect("it is on"), stop)
    }

    fn request(path: &str, address: &str) -> Request {
        let mut request = http::Request::builder().uri(path).body(onion::Body::empty()).expect("a request");
        let peer = onion::Peer { address: Some(address.parse().expect("an address")), port: None };
        let connection = onion::Connection { peer, ..onion::Connection::default() };
        request.context_mut().connection = Arc::new(connection);
        request
    }

    #[test]
    fn strangers_and_other_paths_get_the_applications_answer() {
        let (health, _) = health(Load::default());
        assert!(health.is_asked(&request("/-/live", "127.0.0.1")));
        assert!(health.is_asked(&request("/-/ready?x=1", "10.1.2.3")));
        assert!(!health.is_asked(&request("/-/live", "203.0.113.7")));
        assert!(!health.is_asked(&request("/-/other", "127.0.0.1")));
        assert!(!health.is_asked(&request("/", "127.0.0.1")));
    }

    #[tokio::test]
    async fn it_is_ready_while_a_further_request_would_be_taken() {
        let ready = async |health: &Health| health.answer(&request("/-/ready", "::1")).await.status();
        let full = Load { calls: 4, threads: 4, waiting: 8, queue: 8, ..Load::default() };
        let (busy, stop) = health(Load { waiting: 7, ..full });
        assert_eq!(ready(&busy).await, 200);
        assert_eq!(ready(&health(full).0).await, 503);
        assert_eq!(ready(&health(Load { calls: 3, ..full }).0).await, 200);
        stop.begin();
        assert_eq!(ready(&busy).await, 503);
        assert_eq!(busy.answer(&request("/-/live", "::1")).await.status(), 200);
    }

    #[test]
    fn a_path_has_a_slash_at_both_ends() {
        assert_eq!("off".parse(), Ok(HealthPath(None)));
        assert!("/health/".parse::<HealthPath>().is_ok());
        for text in ["", "health", "/health", "/a b/", "/a?/"] {
            assert!(text.parse::<HealthPath>().expect_err(text).contains("write /-/"), "{text}");
        }
    }
}
