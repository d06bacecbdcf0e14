//! Asks every target from time to time how it is.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use http::{Method, Request, Uri};
use onion::{Body, OptionError};
use tokio::runtime::{Handle, Id};
use tokio::time::sleep;

use super::member::Member;
use crate::proxy::failure::Of;
use crate::proxy::link::Due;
use crate::proxy::relay::Relay;

/// What is asked, and how often.
pub(super) struct Health {
    path: Uri,
    every: Duration,
    /// The runtimes that do so. One layer may serve under several, and in processes that were forked from this one.
    asking: Mutex<Vec<Id>>,
}

impl Health {
    pub(super) fn new(path: &str, every: Duration) -> Result<Self, OptionError> {
        let refused = || OptionError(format!("health_path: {path:?} is no path; give one such as /healthz"));
        let uri: Uri = path.parse().map_err(|_| refused())?;
        if !path.starts_with('/') {
            return Err(refused());
        }
        if every < LEAST {
            return Err(OptionError("health_every: it is too often; give 100ms or more".to_owned()));
        }
        Ok(Health { path: uri, every, asking: Mutex::default() })
    }

    /// Begins to ask, if this runtime does not do so already.
    pub(super) fn begin(&self, members: &[Arc<Member>]) {
        let runtime = Handle::current().id();
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if asking.contains(&runtime) {
            return;
        }
        asking.push(runtime);
        for member in members {
            tokio::spawn(ask(Arc::downgrade(member), self.path.clone(), self.every));
        }
    }
}

const LEAST: Duration = Duration::from_millis(100);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Until the layer is gone.
async fn ask(member: Weak<Member>, path: Uri, every: Duration) {
    while let Some(member) = member.upgrade() {
        let found = probe(&member, path.clone(), every.min(PATIENCE)).await;
        member.probed(found);
        drop(member);
        sleep(every).await;
    }
}

async fn probe(member: &Member, path: Uri, patience: Duration) -> Result<(), String> {
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = path;
    let (parts, ()) = request.into_parts();
    let mut due = Due::new(Some(patience));
    let answer = member.upstream.exchange(&parts, &mut Some(Body::empty()), &mut due).await;
    let answer = answer.map_err(|failure| failure.to_string())?;
    let (head, incoming) = answer.response.into_parts();
    // Its connection is kept, if the answer is a short one.
    Relay::new(incoming, answer.link, Arc::clone(&member.upstream), Of::request(&parts), due).into_body();
    if head.status.is_success() || head.status.is_redirection() {
        return Ok(());
    }
    Err(format!("it answers {}", head.status))
}
