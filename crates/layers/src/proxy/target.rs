//! Where requests go: `http://HOST[:PORT][/PATH]`, `https://...`, or `unix:PATH`.

use std::fmt;
use std::path::PathBuf;

use http::{HeaderValue, Uri};
use onion::masking;

/// One server that requests are passed on to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// As it was written, for the log.
    pub(crate) text: String,
    pub(crate) place: Place,
    pub(crate) tls: bool,
    /// Its name and port, as the Host header has them.
    pub(crate) authority: HeaderValue,
    /// Its own path, without a slash at the end.
    pub(crate) base: String,
}

/// What is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A name or an address (without brackets), and a port.
    Tcp(String, u16),
    Unix(PathBuf),
}

impl Target {
    /// Reads a target.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let refused = |why: &str| {
            let shown = masking::text(text);
            format!("{shown:?} {why}; write http://HOST:PORT, https://HOST or unix:/PATH")
        };
        if let Some(rest) = text.strip_prefix("unix:") {
            let (path, base) = rest.split_once(':').unwrap_or((rest, ""));
            if path.is_empty() || !(base.is_empty() || base.starts_with('/')) {
                return Err(refused("is no target"));
            }
            return Ok(Target {
                text: text.to_owned(),
                place: Place::Unix(path.into()),
                tls: false,
                authority: HeaderValue::from_static("localhost"),
                base: base.trim_end_matches('/').to_owned(),
            });
        }
        let uri: Uri = text.parse().map_err(|_| refused("is no target"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refused("is no target")),
        };
        let authority = uri.authority().ok_or_else(|| refused("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("has a user name, which can't be sent"));
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(refused("has a query, where only a path may be"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(refused("has no host"));
        }
        let port = match authority.port_u16() {
            Some(0) => return Err(refused("has no port that could be connected to")),
            Some(port) => port,
            None if authority.as_str().ends_with(authority.host()) => {
                if tls {
                    443
                } else {
                    80
                }
            }
            None => return Err(refused("has no port that could be connected to")),
        };
        Ok(Target {
            text: text.to_owned(),
            place: Place::Tcp(host.to_owned(), port),
            tls,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| refused("is no target"))?,
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Its name alone, in lower case; for what is compared with domains.
    pub(crate) fn name(&self) -> String {
        match &self.place {
            Place::Tcp(host, _) => host.to_ascii_lowercase(),
            Place::Unix(_) => "localhost".to_owned(),
        }
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_has_a_place_a_name_and_a_path() {
        let target = Target::parse("https://[::1]:8443/app/").expect("a target");

        assert_eq!(target.place, Place::Tcp("::1".to_owned(), 8443));
        assert_eq!(target.authority, "[::1]:8443");
        assert_eq!((&*target.base, target.tls), ("/app", true));
        let target = Target::parse("http://example.org").expect("a target");
        assert_eq!((target.place, &*target.base), (Place::Tcp("example.org".to_owned(), 80), ""));
        let target = Target::parse("unix:/run/a.sock:/x").expect("a target");
        assert_eq!((target.place, &*target.base), (Place::Unix("/run/a.sock".into()), "/x"));
    }

    #[test]
    fn a_password_is_not_shown() {
        for text in
            ["http://user:hunter2@up:9000", "ftp://user:hunter2@up", "user:hunter2@up", "https://:hunter2@"]
        {
            let refusal = Target::parse(text).expect_err("a refusal");
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused_with_the_way_out() {
        let wrong = [
            "",
            "127.0.0.1:80",
            "ftp://a",
            "http://",
            "http://a@b",
            "http://a/?q",
            "http://a/#f",
            "unix:",
            "unix:/a:b",
            "http://a:0",
            "http://a:99999",
        ];
        for text in wrong {
            let refusal = Target::parse(text).expect_err("no target");
            assert!(refusal.contains("; write http://HOST:PORT"), "{refusal}");
        }
    }
}
