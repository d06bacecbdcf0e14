//! What is asked of clients: certificates, of authorities that are believed.

use std::path::Path;
use std::sync::Arc;

use onion::OptionError;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConnection};

use super::{ClientAuth, Clock, certificates};

/// Whom a server believes that a client is.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    auth: ClientAuth,
    authorities: Vec<CertificateDer<'static>>,
}

impl Clients {
    /// Reads the certificates of the authorities.
    pub(super) fn read(
        file: &Path,
        auth: ClientAuth,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, OptionError> {
        let refused = |why: &dyn std::fmt::Display| {
            let file = file.display();
            OptionError(format!("tls_client_ca: {file}: {why}; give a file of certificates in PEM form"))
        };
        let authorities = certificates::chain(file).map_err(|why| refused(&why))?;
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.clone()).map_err(|error| refused(&error))?;
        }
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let verifier = match auth {
            ClientAuth::Required => builder.build(),
            ClientAuth::Optional => builder.allow_unauthenticated().build(),
        }
        .map_err(|error| refused(&error))?;
        Ok(Clients { verifier, auth, authorities })
    }

    /// What a session stands for of it, when it is resumed.
    pub(super) fn purpose(&self) -> impl Iterator<Item = &[u8]> {
        let auth: &[u8] = match self.auth {
            ClientAuth::Required => b"clients: required",
            ClientAuth::Optional => b"clients: optional",
        };
        std::iter::once(auth).chain(self.authorities.iter().map(AsRef::as_ref))
    }

    /// Looks anew at the certificate of a client that resumes its session and does not show it again: it may have
    /// expired since, and who resumes in time could go on for ever.
    pub(super) fn recheck(&self, state: &ServerConnection) -> Result<(), rustls::Error> {
        match state.peer_certificates() {
            Some([leaf, rest @ ..]) if state.handshake_kind() == Some(HandshakeKind::Resumed) => {
                self.verifier.verify_client_cert(leaf, rest, Clock::now()).map(drop)
            }
            _ => Ok(()),
        }
    }
}
