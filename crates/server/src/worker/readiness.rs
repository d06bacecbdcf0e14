//! Whether a worker is ready to serve: its application is asked, within the process, through all layers.

use std::sync::Arc;
use std::time::Duration;

use onion::{Body, Context, Handler, Request};
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
        place: &str,
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
    place: &str,
    given: Option<Given>,
    stop: StopHandle,
) -> Result<u16, String> {
    let (host, path) = host_and_path(place);
    let facts = onion::Connection { shared: given, ..onion::Connection::default() };
    let mut request = Request::new(Body::empty());
    let refused = |_| format!("ready_path: {place:?} is no path; write /ready or http://example.org/ready");
    *request.uri_mut() = path.parse().map_err(refused)?;
    let host = http::HeaderValue::from_str(host).map_err(|_| format!("ready_path: {host:?} is no host"))?;
    request.headers_mut().insert(http::header::HOST, host);
    request.extensions_mut().insert(Context::new(Arc::new(facts), path.to_owned().into()));
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

/// `http://HOST/PATH` in its parts; a bare path is asked of localhost.
fn host_and_path(place: &str) -> (&str, &str) {
    let Some(rest) = place.strip_prefix("http://") else { return ("localhost", place) };
    rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash))
}

#[cfg(test)]
mod tests {
    use super::host_and_path;

    #[test]
    fn a_readiness_path_may_name_its_host() {
        assert_eq!(host_and_path("/ready?deep=1"), ("localhost", "/ready?deep=1"));
        assert_eq!(host_and_path("http://example.org/ready"), ("example.org", "/ready"));
        assert_eq!(host_and_path("http://example.org"), ("example.org", "/"));
    }
}
