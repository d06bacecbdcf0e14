//! How a connection to a target is made, with TLS where it is asked for.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use onion::OptionError;
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::failure::Failure;
use super::options::Forwarding;
use super::target::{Place, Target};
use super::wire::{Meter, Socket, Wire};

/// Makes connections to one target.
pub(crate) struct Connector {
    place: Place,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    patience: Duration,
}

impl Connector {
    pub(crate) fn new(target: &Target, options: &Forwarding) -> Result<Self, OptionError> {
        let tls = match (&target.place, target.tls) {
            (Place::Tcp(host, _), true) => {
                let name = ServerName::try_from(host.clone()).map_err(|_| {
                    OptionError(format!(
                        "target: {host:?} can't have a certificate; give a name or an address"
                    ))
                })?;
                Some((tls(options)?, name))
            }
            _ => None,
        };
        Ok(Connector { place: target.place.clone(), tls, patience: options.connect_timeout.0 })
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Result<Wire, Failure> {
        let socket = timeout(self.patience, self.open()).await;
        let socket =
            socket.map_err(|_| Failure::ConnectTimedOut(self.patience))?.map_err(Failure::Connect)?;
        Ok(Wire { socket, meter: Arc::new(Meter::default()) })
    }

    async fn open(&self) -> io::Result<Socket> {
        match (&self.place, &self.tls) {
            (Place::Unix(path), _) => Ok(Socket::Unix(UnixStream::connect(path).await?)),
            (Place::Tcp(host, port), None) => Ok(Socket::Tcp(self.open_tcp(host, *port).await?)),
            (Place::Tcp(host, port), Some((tls, name))) => {
                let stream = self.open_tcp(host, *port).await?;
                Ok(Socket::Tls(Box::new(tls.connect(name.clone(), stream).await?)))
            }
        }
    }

    /// One address after the other, each with its share of the time.
    async fn open_tcp(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
        let share = self.patience / u32::try_from(addresses.len()).unwrap_or(1).max(1);
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(last)
    }
}

fn tls(options: &Forwarding) -> Result<TlsConnector, OptionError> {
    let provider = cryptography::provider();
    let builder = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(Clock))
        .with_safe_default_protocol_versions()
        .map_err(|error| OptionError(format!("https: {error}; give an http target")))?;
    let mut config = if options.verify {
        builder.with_root_certificates(roots(options.ca_file.as_deref())?).with_no_client_auth()
    } else {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The system's time; before 1970 it is that year's start. rustls's own clock panics there.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Some(UnixTime::since_unix_epoch(since.unwrap_or_default()))
    }
}

/// The authorities that are believed.
fn roots(file: Option<&Path>) -> Result<RootCertStore, OptionError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = file else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let message = "ca_file: the system has no certificates of authorities; give a file of them";
            return Err(OptionError(message.to_owned()));
        }
        return Ok(roots);
    };
    let refused = |why: String| {
        OptionError(format!("ca_file: {}: {why}; give a file of certificates in PEM form", file.display()))
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| refused(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        roots.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refused("it has no certificate".to_owned()));
    }
    Ok(roots)
}

/// Believes everybody, for `verify=False`.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
