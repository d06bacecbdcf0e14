//! The host that a request is for: the one that its `Host` field names. And the hosts that options name.

use std::net::Ipv6Addr;

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
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let name = match address.map(str::parse::<Ipv6Addr>) {
            // One address has many spellings (RFC 5952).
            Some(Ok(address)) => format!("[{address}]"),
            _ => name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(),
        };
        (!name.is_empty()).then_some(Host { name, port })
    }
}

impl Host {
    /// Whether the name of `host` ends in this one, which begins with a dot, and the port is one that this one names.
    pub fn is_above(&self, host: &Host) -> bool {
        host.name.len() > self.name.len() && host.name.ends_with(&self.name) && self.allows_port_of(host)
    }

    fn allows_port_of(&self, host: &Host) -> bool {
        self.port.is_none() || self.port == host.port
    }
}

/// Hosts as options name them: `example.org`, `example.org:8000`, `*.example.org`, `[::1]`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `*`
    Any,
    /// One host, on one port or on any.
    Exact(Host),
    /// `*.example.org`: every name that ends so. The name here begins with the dot.
    Below(Host),
}

impl HostPattern {
    /// Reads a pattern. Fails, with what is wrong and what to write, if no host can match.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(HostPattern::Any);
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let host = match name.parse::<Ipv6Addr>() {
            Ok(address) => Some(Host { name: format!("[{address}]"), port: None }),
            Err(_) => Host::parse(name).filter(|host| is_host_name(&host.name)),
        };
        match host {
            Some(host) if below => Ok(HostPattern::Below(Host { name: format!(".{}", host.name), ..host })),
            Some(host) => Ok(HostPattern::Exact(host)),
            None => Err(not_a_host(text)),
        }
    }

    /// Whether this is one of the hosts.
    pub fn matches(&self, host: &Host) -> bool {
        match self {
            HostPattern::Any => true,
            HostPattern::Exact(wanted) => wanted.name == host.name && wanted.allows_port_of(host),
            HostPattern::Below(suffix) => suffix.is_above(host),
        }
    }
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    name.starts_with('[') || name.split('.').all(is_label)
}

fn not_a_host(text: &str) -> String {
    if !text.is_ascii() {
        return format!("{text:?} matches no host; expected its ASCII form, which begins with xn--");
    }
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let name = rest.split(['/', '?', '#', '@']).next().unwrap_or_default().trim();
    if name != text && HostPattern::parse(name).is_ok() {
        return format!("{text:?} matches no host; expected {name:?}");
    }
    format!("{text:?} matches no host; expected one such as example.org, *.example.org or [::1]")
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
    fn a_pattern_is_a_name_or_all_below_one_with_a_port_or_without() {
        for (pattern, matching, others) in [
            ("Example.org.", vec!["example.org", "example.org:8000"], vec!["www.example.org"]),
            ("example.org:8000", vec!["example.org:8000"], vec!["example.org", "example.org:80"]),
            (
                "*.example.org",
                vec!["a.example.org", "a.b.example.org"],
                vec!["example.org", "badexample.org"],
            ),
            ("::1", vec!["[::1]", "[0:0::1]"], vec!["[::2]"]),
            ("[0:0::1]:80", vec!["[::1]:80"], vec!["[::1]"]),
            ("*", vec!["anything"], vec![]),
        ] {
            let parsed = HostPattern::parse(pattern).expect(pattern);
            let matches = |host: &&str| parsed.matches(&Host::parse(host).expect("a host"));
            assert!(matching.iter().all(matches), "{pattern}");
            assert!(!others.iter().any(matches), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_that_no_host_can_match_is_rejected_with_the_one_that_was_meant() {
        for (pattern, expected) in [
            ("https://example.org/x", "\"example.org\""),
            ("example.org/x", "\"example.org\""),
            ("http://[::1]:80", "\"[::1]:80\""),
            ("*example.org", "example.org, *.example.org or [::1]"),
            ("www.*.org", "example.org, *.example.org or [::1]"),
            ("a..b", "example.org, *.example.org or [::1]"),
            ("", "example.org, *.example.org or [::1]"),
            ("m\u{fc}nchen.de", "its ASCII form, which begins with xn--"),
        ] {
            let why = HostPattern::parse(pattern).expect_err(pattern);
            assert!(
                why.ends_with(&format!("expected {expected}"))
                    || why.ends_with(&format!("one such as {expected}")),
                "{pattern}: {why}"
            );
        }
    }

    #[test]
    fn what_names_no_host_is_none() {
        for text in ["", ":80", "[::1", "[::1]80", "a:b", "a:70000", "::1"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
