//! The thread that sends spans: in batches, over one connection, trying again where the collector is busy.
//!
//! Promises: a request never waits, for what does not fit into the queue is lost; so is what a collector does not take
//! after some trials. Losses are said once a minute.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use onion::Trouble;
use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{Ended, Endpoint, otlp};
use crate::tls::Clock;

/// Where spans go that have ended.
#[derive(Debug)]
pub(super) struct Exporter {
    queue: Mutex<Option<Sender<Ended>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    full: Trouble,
}

impl Exporter {
    pub(super) fn start(endpoint: &Endpoint, service: &str) -> io::Result<Self> {
        let (sender, queue) = channel(QUEUED);
        let mut sending = Sending {
            endpoint: endpoint.clone(),
            service: service.to_owned(),
            connection: None,
            trouble: Trouble::new(),
        };
        let thread = thread::Builder::new().name("onionskin-otlp".to_owned()).spawn(move || {
            match runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(sending.run(queue)),
                Err(error) => onion::report(&format!("spans cannot be sent: {error}")),
            }
        })?;
        let (queue, thread) = (Mutex::new(Some(sender)), Mutex::new(Some(thread)));
        Ok(Exporter { queue, thread, full: Trouble::new() })
    }

    /// Has `ended` sent, unless too many wait already.
    pub(super) fn send(&self, ended: Ended) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(queue) = queue else { return };
        if let Err(TrySendError::Full(_)) = queue.try_send(ended) {
            self.full.report(|| format!("spans are lost: {QUEUED} of them wait for the collector"));
        }
    }

    /// Ends it, once what it was given is sent or given up.
    pub(super) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It holds nothing that its panic could have broken.
            let _ = thread.join();
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.close();
    }
}

struct Sending {
    endpoint: Endpoint,
    service: String,
    connection: Option<SendRequest<Full<Bytes>>>,
    trouble: Trouble,
}

impl Sending {
    /// Sends batches until the queue is closed and empty.
    async fn run(&mut self, mut queue: Receiver<Ended>) {
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            let due = tokio::time::Instant::now() + GATHERED;
            while batch.len() < BATCH {
                let room = BATCH - batch.len();
                match timeout_at(due, queue.recv_many(&mut batch, room)).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => break,
                }
            }
            let message = Bytes::from(otlp::message(&self.service, &batch));
            self.send(message, batch.len(), &queue).await;
            batch.clear();
        }
    }

    /// Sends one message, several times if that may help. At the end of the server there is one trial.
    async fn send(&mut self, message: Bytes, spans: usize, queue: &Receiver<Ended>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let trial = timeout(PATIENCE, self.try_to_send(message.clone())).await;
            let failed = match trial.unwrap_or_else(|_| Err(Failed::later("it did not answer in time"))) {
                Ok(()) => return,
                Err(failed) => failed,
            };
            self.connection = None;
            if !failed.may_try_again || pause > LAST_PAUSE || queue.is_closed() {
                let (endpoint, why) = (&self.endpoint, failed.why);
                self.trouble.report(|| format!("{spans} spans are lost: {endpoint}: {why}"));
                return;
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    async fn try_to_send(&mut self, message: Bytes) -> Result<(), Failed> {
        let connection = match &mut self.connection {
            Some(connection) if !connection.is_closed() => connection,
            kept => kept.insert(connect(&self.endpoint).await.map_err(|error| Failed::later(&*error))?),
        };
        let request = Request::post(self.endpoint.path.as_str())
            .header(header::HOST, self.endpoint.authority())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, concat!("onionskin/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(message))
            .expect("an endpoint's parts are those of a URL");
        connection.ready().await.map_err(|error| Failed::later(&error))?;
        let response = connection.send_request(request).await.map_err(|error| Failed::later(&error))?;
        let status = response.status();
        // Read to its end, so that the connection can be used again.
        let _ = Limited::new(response.into_body(), ANSWER_MOST).collect().await;
        if status.is_success() {
            return Ok(());
        }
        let may_try_again = AGAIN.contains(&status);
        Err(Failed { why: format!("it answered {}", status.as_u16()), may_try_again })
    }
}

/// Why a message was not taken.
struct Failed {
    why: String,
    may_try_again: bool,
}

impl Failed {
    fn later(why: &(impl ToString + ?Sized)) -> Self {
        Failed { why: why.to_string(), may_try_again: true }
    }
}

async fn connect(endpoint: &Endpoint) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    stream.set_nodelay(true)?;
    if !endpoint.secured {
        return begin(TokioIo::new(stream)).await;
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_details(cryptography::provider(), Arc::new(Clock))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(endpoint.host.clone())?;
    begin(TokioIo::new(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)).await
}

async fn begin(
    stream: impl hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error>> {
    let (sender, connection) = http1::handshake(stream).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// So many wait at most.
const QUEUED: usize = 4096;

/// So many are sent at once.
const BATCH: usize = 512;

/// And after so long, even if they are fewer.
const GATHERED: Duration = Duration::from_secs(1);

/// How long the collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(10);

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(4);

/// In bytes.
const ANSWER_MOST: usize = 64 * 1024;

/// Answers that say that it may be taken later (OTLP, "Retryable Response Codes").
const AGAIN: [StatusCode; 4] = [
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];
