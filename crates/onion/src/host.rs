//! The host that a request is for: the one that its `Host` field names.

use http::header;

use crate::{Request, RequestExt, Scheme};

/// A host as requests and options name it: in lower case, without a dot at its end, an IPv6 address in its brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// The name, or the address.
    pub name: String,
    /// The port, if it was named.
    pub port: Option<u16>,
}

impl Host {
    /// The host of `request`, with the scheme's own port where it names none.
    pub fn of(request: &Request) -> Option<Self> {
        let mut host = Host::parse(request.headers().get(header::HOST)?.to_str().ok()?)?;
        let scheme = request.context().map(|context| context.connection.scheme).unwrap_or_default();
        host.port.get_or_insert(match scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        });
        Some(host)
    }

    /// `name`, `name:port`, `[address]:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let end = match text.strip_prefix('[') {
            Some(address) => address.find(']')? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (name, port) = text.split_at(end);
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            Some("") => None,
            Some(port) => Some(port.parse().ok()?),
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        (!name.is_empty()).then_some(Host { name, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, Option<u16>)> {
        Host::parse(text).map(|host| (host.name, host.port))
    }

    #[test]
    fn a_name_an_address_and_their_ports_are_told_apart() {
        for (text, name, port) in [
            ("Example.ORG", "example.org", None),
            ("example.org.:8000", "example.org", Some(8000)),
            ("example.org:", "example.org", None),
            ("[::1]", "[::1]", None),
            ("[::1]:80", "[::1]", Some(80)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
        ] {
            assert_eq!(parsed(text), Some((name.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn what_names_no_host_is_none() {
        for text in ["", ":80", "[::1", "[::1]80", "a:b", "a:70000", "::1"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
