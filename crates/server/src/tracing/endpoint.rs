//! Where spans are sent: the address of a collector.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::Scheme;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An `http` or `https` URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Endpoint {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
    pub(super) secured: bool,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused =
            || format!("{text:?} is no URL of a collector; write one such as http://127.0.0.1:4318");
        let uri: Uri = text.parse().map_err(|_| refused())?;
        let secured = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(refused()),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let host = authority.map(http::uri::Authority::host).filter(|host| !host.is_empty());
        let host = host.ok_or_else(refused)?.trim_matches(['[', ']']).to_owned();
        if uri.query().is_some() {
            return Err(refused());
        }
        let path = match uri.path() {
            // As the specification has it for an endpoint of all signals.
            "" | "/" => "/v1/traces".to_owned(),
            path => path.to_owned(),
        };
        Ok(Endpoint { host, port: uri.port_u16().unwrap_or(if secured { 443 } else { 4318 }), path, secured })
    }
}

impl Endpoint {
    /// The host and the port, as the `Host` field has them.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secured { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl TryFrom<String> for Endpoint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> String {
        endpoint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_is_as_usual() {
        let read = |text: &str| text.parse::<Endpoint>().expect(text).to_string();
        assert_eq!(read("http://collector"), "http://collector:4318/v1/traces");
        assert_eq!(read("http://[::1]:80/"), "http://[::1]:80/v1/traces");
        assert_eq!(read("https://otlp.example.org/my/traces"), "https://otlp.example.org:443/my/traces");
    }

    #[test]
    fn what_is_no_url_of_a_collector_is_refused_with_the_way_out() {
        for text in ["", "collector:4318", "grpc://collector", "http://", "http://a@b", "http://a/?b"] {
            let error = text.parse::<Endpoint>().expect_err(text);
            assert!(error.ends_with("; write one such as http://127.0.0.1:4318"), "{error}");
        }
    }
}
