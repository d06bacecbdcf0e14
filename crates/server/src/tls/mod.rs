//! TLS: certificates for names, what is asked of clients, and both taken anew from their files while the server runs.
//!
//! A certificate that was renewed is noticed by its file ([`Tls::refresh_if_changed`]). What cannot be read then is told
//! in the log, and what was read before stays.

mod certificates;
mod clients;
mod facts;
mod session;
mod ticket_keys;
mod tickets;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use onion::{OptionError, inform, report};
use rustls::pki_types::UnixTime;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, StoresServerSessions};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use self::certificates::Certificates;
use self::clients::Clients;
use self::tickets::{Purpose, Ticketer, Tickets};
use crate::{Config, Speaks};

pub(crate) use self::facts::secured;
pub(crate) use self::session::Session;
pub(crate) use self::ticket_keys::{Rotation, TicketKeys};

/// Whether a client has to show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// No certificate, no connection.
    #[default]
    Required,
    /// One that is shown must be valid.
    Optional,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// TLS 1.3
    #[serde(rename = "1.3")]
    Tls13,
}

/// What a server's TLS connections begin with.
#[derive(Debug)]
pub struct Tls {
    options: Options,
    tickets: Arc<Tickets>,
    current: RwLock<Arc<Current>>,
    /// When the files were last changed, as they were read.
    read: Mutex<Vec<Option<SystemTime>>>,
}

/// What was made of the files, as they were last read.
#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    clients: Option<Clients>,
    /// What sessions are good for that begin with it.
    purpose: Purpose,
}

/// What the configuration says of TLS.
#[derive(Debug)]
struct Options {
    pairs: Vec<(PathBuf, PathBuf)>,
    client_ca: Option<PathBuf>,
    client_auth: ClientAuth,
    versions: &'static [&'static SupportedProtocolVersion],
    http2: bool,
    ticket_keys: Vec<PathBuf>,
}

impl Tls {
    /// Reads what `config` names; `None` if it names nothing, and nothing is to be listened on by TLS.
    pub fn load(config: &Config) -> Result<Option<Self>, OptionError> {
        let Some(options) = Options::of(config)? else { return Ok(None) };
        let read = options.changed();
        let tickets = Tickets::own(Instant::now()).ok_or_else(|| {
            OptionError(
                "tls_certificate: no keys for tickets: the system has no randomness; try again".to_owned(),
            )
        })?;
        tickets.share(&TicketKeys::read(&options.ticket_keys)?);
        let current = RwLock::new(Arc::new(options.build(&tickets, None)?));
        Ok(Some(Tls { options, tickets, current, read: Mutex::new(read) }))
    }

    /// Reads the files again. Connections that are there keep what they have.
    pub fn refresh(&self) -> Result<(), OptionError> {
        let read = self.options.changed();
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = read;
        let before = self.current();
        let keys = TicketKeys::read(&self.options.ticket_keys)?;
        let renewed = Arc::new(self.options.build(&self.tickets, Some(&before))?);
        self.tickets.share(&keys);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }

    /// Reads the files again, and tells the log what came of it.
    pub(crate) fn refresh_and_tell(&self) {
        match self.refresh() {
            Ok(()) => inform("the certificates were read again"),
            Err(error) => report(&format!("the certificates stay as they were: {error}")),
        }
    }

    /// The same, if one of them was changed.
    pub(crate) fn refresh_if_changed(&self) {
        if *self.read.lock().unwrap_or_else(PoisonError::into_inner) != self.options.changed() {
            self.refresh_and_tell();
        }
    }

    /// Seals and opens tickets with these keys from now on, as other processes do; unless files name others.
    pub(crate) fn share(&self, keys: &TicketKeys) {
        if self.options.ticket_keys.is_empty() {
            self.tickets.share(keys);
        }
    }

    /// What a new connection begins with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current().config)
    }

    /// Whether a client that has resumed its session is still believed.
    pub(crate) fn recheck(&self, state: &ServerConnection) -> Result<(), rustls::Error> {
        self.current().clients.as_ref().map_or(Ok(()), |clients| clients.recheck(state))
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether clients are asked for certificates.
    pub(crate) fn asks_clients(&self) -> bool {
        self.options.client_ca.is_some()
    }
}

/// Takes certificates anew when their files were changed, and on SIGHUP.
pub(crate) async fn look_after(tls: Arc<Tls>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    loop {
        tokio::select! {
            () = sleep(LOOK) => tls.refresh_if_changed(),
            received = hangup.recv() => match received {
                Some(()) => tls.refresh_and_tell(),
                None => return,
            },
        }
    }
}

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

impl Options {
    fn of(config: &Config) -> Result<Option<Self>, OptionError> {
        let spoken =
            config.bind.iter().chain(&config.metrics_bind).find(|bind| bind.speaks() == Speaks::Https);
        let (certificates, keys) = (&config.tls_certificate, &config.tls_key);
        if certificates.len() != keys.len() {
            return Err(OptionError(format!(
                "tls_key: there are {} for {} of tls_certificate; give each certificate its key, in the same order",
                keys.len(),
                certificates.len()
            )));
        }
        match (spoken, certificates.is_empty()) {
            (Some(_), false) => {}
            (Some(bind), true) => {
                return Err(OptionError(format!(
                    "bind: {bind} needs tls_certificate and tls_key; give both"
                )));
            }
            (None, false) => {
                let message = "tls_certificate: no place speaks TLS; bind one, such as https://0.0.0.0:443";
                return Err(OptionError(message.to_owned()));
            }
            (None, true) if !config.tls_ticket_key.is_empty() => {
                let message = "tls_ticket_key: no place speaks TLS; bind one, such as https://0.0.0.0:443";
                return Err(OptionError(message.to_owned()));
            }
            (None, true) if config.tls_client_ca.is_some() => {
                let message = "tls_client_ca: no place speaks TLS; bind one, such as https://0.0.0.0:443";
                return Err(OptionError(message.to_owned()));
            }
            (None, true) => {
                let sent_on = config.bind.iter().find(|bind| bind.speaks() == Speaks::Redirect);
                return match sent_on {
                    None => Ok(None),
                    Some(bind) => Err(OptionError(format!(
                        "bind: {bind} has no place to send anybody to; bind one, such as https://0.0.0.0:443"
                    ))),
                };
            }
        }
        Ok(Some(Options {
            pairs: certificates.iter().cloned().zip(keys.iter().cloned()).collect(),
            client_ca: config.tls_client_ca.clone(),
            client_auth: config.tls_client_auth,
            versions: match config.tls_min_version {
                TlsVersion::Tls12 => &TLS12_AND_13,
                TlsVersion::Tls13 => &TLS13_ALONE,
            },
            http2: config.http2,
            ticket_keys: config.tls_ticket_key.clone(),
        }))
    }

    fn build(&self, tickets: &Arc<Tickets>, before: Option<&Current>) -> Result<Current, OptionError> {
        let provider = cryptography::provider();
        let certificates = Certificates::read(&self.pairs, &provider)?;
        let clients = self.client_ca.as_ref().map(|file| Clients::read(file, self.client_auth, &provider));
        let clients = clients.transpose()?;
        let purpose = Purpose::of(certificates.purpose().chain(clients.iter().flat_map(Clients::purpose)));
        let builder = ServerConfig::builder_with_details(provider, Arc::new(Clock))
            .with_protocol_versions(self.versions)
            .map_err(|error| OptionError(format!("tls_min_version: {error}; give 1.2 or 1.3")))?;
        let mut config = match &clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(Arc::clone(&clients.verifier)),
        }
        .with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.http2 {
            config.alpn_protocols.insert(0, H2.to_vec());
        }
        config.ticketer = Arc::new(Ticketer { tickets: Arc::clone(tickets), purpose });
        config.session_storage = match before {
            Some(before) if before.purpose == purpose => Arc::clone(&before.config.session_storage),
            _ => self.session_storage(),
        };
        Ok(Current { config: Arc::new(config), clients, purpose })
    }

    fn session_storage(&self) -> Arc<dyn StoresServerSessions> {
        match self.versions {
            // Clients of TLS 1.3 have tickets.
            [_] => Arc::new(NoServerSessionStorage {}),
            _ => ServerSessionMemoryCache::new(SESSIONS),
        }
    }

    /// When each file was last changed; `None` for one that is not there.
    fn changed(&self) -> Vec<Option<SystemTime>> {
        let files =
            self.pairs.iter().flat_map(|(certificate, key)| [certificate, key]).chain(&self.client_ca);
        let files = files.chain(&self.ticket_keys);
        files.map(|file| fs::metadata(file).and_then(|metadata| metadata.modified()).ok()).collect()
    }
}

/// HTTP/2, as both sides settle on it (RFC 9113 section 3.2).
pub(crate) const H2: &[u8] = b"h2";

static TLS12_AND_13: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
static TLS13_ALONE: [&SupportedProtocolVersion; 1] = [&TLS13];

/// How many sessions of TLS 1.2 clients without tickets are remembered.
const SESSIONS: usize = 1024;

/// The system's time; before 1970 it is that year's start. rustls's own clock panics there.
#[derive(Debug)]
pub(crate) struct Clock;

impl Clock {
    pub(crate) fn now() -> UnixTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        UnixTime::since_unix_epoch(since.unwrap_or_default())
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(Clock::now())
    }
}
