//! Whether a worker is ready to serve: its application is asked, within the process, through all layers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Uri};
use onion::{Body, Context, Handler, Host, Request};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::WorkerEnd;
use crate::serve::{Given, Server};
use crate::stay::Stay;
use crate::stop::Part;
use crate::stop::StopHandle;
use crate::supervisor::message::FromWorker;

/// How often an application is asked that says that it is not ready yet.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// As much of an answer is read.
const MOST_OF_ANSWER: u64 = 1 << 20;

impl WorkerEnd {
    /// Asks the application at `place` until it answers 2xx; with anything but that and 503 it never will. None when it is
    /// ready; otherwise whether that is as the supervisor wants it.
    pub(super) async fn prove_ready(
        &mut self,
        server: &Server,
        handler: &Arc<dyn Handler>,
        place: &ReadyPath,
    ) -> Option<bool> {
        let mut waits = format!("the application has not answered at {place} yet");
        loop {
            self.channel.send(&FromWorker::Waits { reason: waits });
            let asked = ask(Arc::clone(handler), place, server.given(), server.stop_handle());
            let status = tokio::select! {
                status = asked => status,
                () = self.ended() => return Some(true),
            };
            let reason = match status {
                Ok(200..=299) => return None,
                Ok(503) => {
                    tokio::select! {
                        () = sleep(ASK_AGAIN) => {}
                        () = self.ended() => return Some(true),
                    }
                    waits = format!("the application answers 503 at {place}");
                    continue;
                }
                Ok(status) => format!("the application answered {status} at {place}"),
                Err(reason) => reason,
            };
            self.channel.send(&FromWorker::Failed { reason, details: String::new() });
            return Some(false);
        }
    }
}

/// The status with which the application answers at `place`, asked as a connection would.
async fn ask(
    handler: Arc<dyn Handler>,
    place: &ReadyPath,
    given: Option<Given>,
    stop: StopHandle,
) -> Result<u16, String> {
    let facts = onion::Connection { shared: given, ..onion::Connection::default() };
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = place.path.clone();
    request.headers_mut().insert(http::header::HOST, place.host.clone());
    let target = place.path.to_string().into();
    request.extensions_mut().insert(Context::new(Arc::new(facts), target));
    let (sender, status) = oneshot::channel();
    let asking = async move {
        let response = handler.call(request).await;
        let status = response.status().as_u16();
        // To its end, so that the application can close what it has opened.
        let _ = response.into_body().into_bytes(MOST_OF_ANSWER).await;
        let _ = sender.send(status);
    };
    // A task like a connection's: only there may the thread be held.
    tokio::spawn(Stay::new(stop.enter(Part::Aside), asking));
    status.await.map_err(|_| format!("the application gave no answer at {place}"))
}

/// Where a worker is asked whether it is ready: `/PATH` of localhost, or `http://HOST/PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", inline)]
pub struct ReadyPath {
    given: String,
    host: HeaderValue,
    path: Uri,
}

impl FromStr for ReadyPath {
    type Err = String;

    fn from_str(given: &str) -> Result<Self, String> {
        let (host, path) = match given.strip_prefix("http://") {
            Some(rest) => rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash)),
            None => ("localhost", given),
        };
        let host = Host::parse(host).and_then(|_| HeaderValue::from_str(host).ok());
        let path = if path.starts_with('/') { path.parse().ok() } else { None };
        let (Some(host), Some(path)) = (host, path) else {
            return Err(format!("{given:?} is not a path; expected /ready or http://example.org/ready"));
        };
        Ok(ReadyPath { given: given.to_owned(), host, path })
    }
}

impl TryFrom<String> for ReadyPath {
    type Error = String;

    fn try_from(given: String) -> Result<Self, String> {
        given.parse()
    }
}

impl From<ReadyPath> for String {
    fn from(place: ReadyPath) -> String {
        place.given
    }
}

impl fmt::Display for ReadyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_readiness_path_may_name_its_host() {
        for (given, host, path) in [
            ("/ready?deep=1", "localhost", "/ready?deep=1"),
            ("http://example.org/ready", "example.org", "/ready"),
            ("http://example.org", "example.org", "/"),
        ] {
            let place: ReadyPath = given.parse().expect(given);
            assert_eq!(
                (place.host, place.path.to_string()),
                (HeaderValue::from_static(host), path.to_owned())
            );
        }
    }

    #[test]
    fn what_could_never_be_ready_is_rejected() {
        for given in ["ready", "", "https://example.org/ready", "http:///ready", "/a b"] {
            let why = given.parse::<ReadyPath>().expect_err(given);
            assert!(why.ends_with("expected /ready or http://example.org/ready"), "{why}");
        }
    }
}
