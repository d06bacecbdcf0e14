//! The server's certificates: read from their files, and chosen by the name that the client asks for (SNI).

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use onion::{OptionError, report};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Certificates by the names that stand in them.
#[derive(Debug)]
pub(super) struct Certificates {
    /// For clients that ask for no name, or for one that no certificate has.
    first: Arc<CertifiedKey>,
    named: HashMap<String, Arc<CertifiedKey>>,
    /// The names of each.
    names: Vec<Vec<String>>,
}

impl Certificates {
    /// Reads pairs of a certificate's and its key's file. There is at least one.
    pub(super) fn read(pairs: &[(PathBuf, PathBuf)], provider: &CryptoProvider) -> Result<Self, OptionError> {
        let mut first = None;
        let mut named = HashMap::new();
        let mut all_names = Vec::new();
        for (certificate, key) in pairs {
            let certified = Arc::new(pair(certificate, key, provider)?);
            let leaf = &certified.cert[0];
            let own_names = dns_names(leaf, certificate)?;
            for name in &own_names {
                // Of two with the same name the one that was given first.
                named.entry(name.clone()).or_insert_with(|| Arc::clone(&certified));
            }
            all_names.push(own_names);
            first.get_or_insert(certified);
        }
        let first =
            first.ok_or_else(|| OptionError("tls_certificate: there is none; give one".to_owned()))?;
        Ok(Certificates { first, named, names: all_names })
    }

    /// What a session stands for of them, when it is resumed: their names, which a renewal leaves as they are.
    pub(super) fn purpose(&self) -> impl Iterator<Item = &[u8]> {
        self.names
            .iter()
            .flat_map(|names| std::iter::once(&b"certificate"[..]).chain(names.iter().map(String::as_bytes)))
    }

    /// The certificate for `name`: one that has it, or a wildcard for all names below its parent.
    fn of(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        self.named.get(&name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.named.get(&format!("*.{parent}"))
        })
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.of(name));
        Some(Arc::clone(named.unwrap_or(&self.first)))
    }
}

/// The certificates of a PEM file, or what is wrong with it.
pub(super) fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| format!("is no PEM: {error}"))?;
    if chain.is_empty() { Err("has no certificate".to_owned()) } else { Ok(chain) }
}

fn pair(certificate: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, OptionError> {
    let chain = chain(certificate).map_err(|why| {
        let file = certificate.display();
        OptionError(format!(
            "tls_certificate: {file}: {why}; give a certificate in PEM form, its chain below it"
        ))
    })?;
    let refused = |why: &str| OptionError(format!("tls_key: {}: {why}", key.display()));
    let pem = fs::read(key)
        .map_err(|error| refused(&format!("cannot be read: {error}; give a private key in PEM form")))?;
    if contains(&pem, b"BEGIN ENCRYPTED PRIVATE KEY") || contains(&pem, b"Proc-Type: 4,ENCRYPTED") {
        return Err(refused("is encrypted; write it without a passphrase, by openssl pkey"));
    }
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_| refused("has no private key; give one in PEM form"))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            refused(&format!("is not the key of {}; give the one that belongs to it", certificate.display()))
        }
        error => refused(&format!("cannot be used: {error}; give another, such as one for ECDSA P-256")),
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The DNS names of a certificate, in lower case and in order. Tells the log of one that is not valid now.
fn dns_names(leaf: &CertificateDer<'_>, file: &Path) -> Result<Vec<String>, OptionError> {
    let refused = |why: &dyn std::fmt::Display| {
        OptionError(format!("tls_certificate: {}: {why}; give another", file.display()))
    };
    let leaf = Certificate::from_der(leaf).map_err(|error| refused(&error))?.tbs_certificate;
    let (from, until) = (leaf.validity.not_before, leaf.validity.not_after);
    let now = SystemTime::now();
    if until.to_system_time() < now {
        report(&format!("warning: the certificate {} has expired on {until}", file.display()));
    } else if from.to_system_time() > now {
        report(&format!("warning: the certificate {} is not valid before {from}", file.display()));
    }
    let alternatives = leaf.get::<SubjectAltName>().map_err(|error| refused(&error))?;
    let names = alternatives.into_iter().flat_map(|(_, alternatives)| alternatives.0);
    let mut names: Vec<String> = names
        .filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    Ok(names)
}
