//! What handlers and applications are told of a TLS connection: Apache's `SSL_*` keys, and the fields of RFC 9440.

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};
use onion::Secured;
use rustls::pki_types::CertificateDer;
use rustls::{HandshakeKind, ProtocolVersion, ServerConnection};
use x509_cert::Certificate;
use x509_cert::der::{DateTime, Decode};

/// The fields that say who the client is.
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
const CLIENT_CERT_CHAIN: HeaderName = HeaderName::from_static("client-cert-chain");

/// What is to be told of the connection of `state`, whose handshake is done. `asks_clients`: for certificates.
pub(crate) fn secured(state: &ServerConnection, asks_clients: bool) -> Secured {
    let mut environ = vec![("HTTPS", "on".to_owned()), ("SSL_PROTOCOL", protocol(state).to_owned())];
    if let Some(suite) = state.negotiated_cipher_suite() {
        let name = suite.suite().as_str().unwrap_or_default();
        environ.push(("SSL_CIPHER", cipher(name)));
    }
    if let Some(name) = state.server_name() {
        environ.push(("SSL_TLS_SNI", name.to_owned()));
    }
    let resumed = state.handshake_kind() == Some(HandshakeKind::Resumed);
    environ.push(("SSL_SESSION_RESUMED", if resumed { "Resumed" } else { "Initial" }.to_owned()));
    let chain = state.peer_certificates().unwrap_or_default();
    environ.push(("SSL_CLIENT_VERIFY", if chain.is_empty() { "NONE" } else { "SUCCESS" }.to_owned()));
    let mut fields = Vec::new();
    if let [leaf, rest @ ..] = chain {
        environ.extend(of_client(leaf));
        fields.push((CLIENT_CERT, byte_sequences(std::slice::from_ref(leaf))));
        if !rest.is_empty() {
            fields.push((CLIENT_CERT_CHAIN, byte_sequences(rest)));
        }
    }
    let dropped = if asks_clients { vec![CLIENT_CERT, CLIENT_CERT_CHAIN] } else { Vec::new() };
    Secured { environ, dropped, fields }
}

fn protocol(state: &ServerConnection) -> &'static str {
    match state.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        _ => "TLSv1.3",
    }
}

/// The name of a cipher suite as OpenSSL, and so Apache, has it.
fn cipher(name: &str) -> String {
    let Some(suite) = name.strip_prefix("TLS_ECDHE_") else { return name.replace("TLS13_", "TLS_") };
    let suite = suite.replace("_WITH_", "-").replace("AES_", "AES").replace("_SHA256", "-SHA256");
    let suite = suite.replace("CHACHA20_POLY1305-SHA256", "CHACHA20-POLY1305").replace('_', "-");
    format!("ECDHE-{suite}")
}

/// One Byte Sequence (RFC 8941 section 3.3.5) a certificate, as a list.
fn byte_sequences(certificates: &[CertificateDer<'_>]) -> HeaderValue {
    let mut list = String::new();
    for certificate in certificates {
        let separator = if list.is_empty() { ":" } else { ", :" };
        list.push_str(separator);
        BASE64_STANDARD.encode_string(certificate, &mut list);
        list.push(':');
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(list)).expect("base64 is visible ASCII")
}

/// What Apache tells of a client's certificate. One that cannot be read was not accepted; then nothing is told.
fn of_client(leaf: &CertificateDer<'_>) -> Vec<(&'static str, String)> {
    let mut told = vec![("SSL_CLIENT_CERT", pem(leaf))];
    let Ok(leaf) = Certificate::from_der(leaf) else { return told };
    let leaf = leaf.tbs_certificate;
    let subject = leaf.subject.to_string();
    let serial = leaf.serial_number.as_bytes().iter().fold(String::new(), |mut serial, byte| {
        // A String takes whatever is written.
        let _ = write!(serial, "{byte:02X}");
        serial
    });
    told.extend([
        ("SSL_CLIENT_S_DN", subject),
        ("SSL_CLIENT_I_DN", leaf.issuer.to_string()),
        ("SSL_CLIENT_M_SERIAL", serial),
        ("SSL_CLIENT_V_START", time(leaf.validity.not_before.to_date_time())),
        ("SSL_CLIENT_V_END", time(leaf.validity.not_after.to_date_time())),
    ]);
    told
}

/// A time as OpenSSL prints it: `Nov  2 13:47:34 2026 GMT`.
fn time(time: DateTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    format!(
        "{} {:2} {:02}:{:02}:{:02} {} GMT",
        MONTHS[usize::from(time.month() - 1) % 12],
        time.day(),
        time.hour(),
        time.minutes(),
        time.seconds(),
        time.year()
    )
}

fn pem(certificate: &[u8]) -> String {
    let base64 = BASE64_STANDARD.encode(certificate);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, further) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = further;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cipher_suites_have_the_names_that_openssl_gives_them() {
        for (name, expected) in [
            ("TLS13_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"),
            ("TLS13_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"),
            ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
            ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
            ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ] {
            assert_eq!(cipher(name), expected);
        }
    }

    #[test]
    fn times_are_printed_as_openssl_does() {
        let date = DateTime::new(2026, 11, 2, 3, 4, 5).expect("a date");

        assert_eq!(time(date), "Nov  2 03:04:05 2026 GMT");
    }

    #[test]
    fn a_certificate_is_a_byte_sequence_of_rfc_9440_and_a_chain_a_list_of_them() {
        let chain = [CertificateDer::from(vec![0, 1, 2]), CertificateDer::from(vec![3])];

        assert_eq!(byte_sequences(&chain[..1]), ":AAEC:");
        assert_eq!(byte_sequences(&chain), ":AAEC:, :Aw==:");
    }
}
