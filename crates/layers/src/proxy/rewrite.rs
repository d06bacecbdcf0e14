//! Redirects and cookies that are meant for the target's address, as they have to be for the client's.
//!
//! Only what points at the target is touched. A redirect becomes a path without a host: it can't lead anywhere else,
//! whatever the target or the client says.

use http::header::{CONTENT_LOCATION, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use super::target::Target;

/// Rewrites for one request.
pub(crate) struct Rewriter<'a> {
    target: &'a Target,
    /// The Host that was sent to the target.
    host: &'a str,
    /// What the client's paths have in place of the target's own path.
    prefix: String,
}

impl<'a> Rewriter<'a> {
    pub(crate) fn new(target: &'a Target, host: &'a str, prefix: String) -> Self {
        Rewriter { target, host, prefix }
    }

    /// Whether there is anything in a response that may need it.
    pub(crate) fn has_work(headers: &HeaderMap) -> bool {
        [LOCATION, CONTENT_LOCATION, SET_COOKIE].iter().any(|name| headers.contains_key(name))
    }

    /// A new value for `Location` or `Content-Location`, if it needs one.
    pub(crate) fn location(&self, value: &HeaderValue) -> Option<HeaderValue> {
        let text = value.to_str().ok()?;
        let (path, moved) = match split_origin(text) {
            Some((scheme, authority, path)) => {
                if !self.is_target(scheme, authority) {
                    return None;
                }
                (path, true)
            }
            None if text.starts_with('/') => (text, false),
            None => return None,
        };
        if !moved && self.target.base == self.prefix {
            return None;
        }
        let path = self.below_base(path)?;
        let mut location = format!("{}{path}", self.prefix);
        if !location.starts_with('/') {
            location.insert(0, '/');
        }
        if location.starts_with("//") || location.starts_with("/\\") {
            // Otherwise it would be the name of another host (RFC 3986 section 4.2).
            location.insert_str(0, "/.");
        }
        HeaderValue::try_from(location).ok()
    }

    /// A new value for `Set-Cookie`, if it needs one.
    pub(crate) fn cookie(&self, value: &HeaderValue) -> Option<HeaderValue> {
        let text = std::str::from_utf8(value.as_bytes()).ok()?;
        let mut changed = false;
        let mut parts = Vec::new();
        for (index, part) in text.split(';').enumerate() {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (name.trim(), value.trim());
            if index > 0 && name.eq_ignore_ascii_case("domain") && self.is_own_domain(value) {
                changed = true;
            } else if index > 0 && name.eq_ignore_ascii_case("path") && !text.starts_with("__Host-") {
                let path = self.cookie_path(value);
                changed |= path.is_some();
                parts.push(path.map_or_else(|| part.to_owned(), |path| format!(" Path={path}")));
            } else {
                parts.push(part.to_owned());
            }
        }
        if changed { HeaderValue::try_from(parts.join(";")).ok() } else { None }
    }

    fn cookie_path(&self, path: &str) -> Option<String> {
        if !path.starts_with('/') || self.target.base == self.prefix {
            return None;
        }
        let rest = self.below_base(path)?;
        let moved = format!("{}{}", self.prefix, if rest == "/" { "" } else { rest });
        Some(if moved.is_empty() { "/".to_owned() } else { moved })
    }

    fn is_own_domain(&self, domain: &str) -> bool {
        let domain = domain.trim_start_matches('.');
        domain.eq_ignore_ascii_case(&self.target.name()) || domain.eq_ignore_ascii_case(name_of(self.host))
    }

    /// Whether an origin is that of the target, or the one that it was told.
    fn is_target(&self, scheme: &str, authority: &str) -> bool {
        let own = self.target.authority.to_str().unwrap_or_default();
        let scheme = if scheme.is_empty() { self.target.scheme() } else { scheme };
        same_origin((scheme, authority), (self.target.scheme(), own))
            || same_origin((scheme, authority), (scheme, self.host))
    }

    /// What follows the target's own path.
    fn below_base<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(&*self.target.base)?;
        (rest.is_empty() || rest.starts_with(['/', '?', '#'])).then_some(rest)
    }
}

/// Scheme (empty if it has none), authority and the rest of a reference that names a host.
fn split_origin(text: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = match text.strip_prefix("//") {
        Some(rest) => ("", rest),
        None => text.split_once("://")?,
    };
    let is_known =
        scheme.is_empty() || scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    is_known.then(|| (scheme, &rest[..end], &rest[end..]))
}

fn same_origin((scheme, authority): (&str, &str), (other_scheme, other): (&str, &str)) -> bool {
    scheme.eq_ignore_ascii_case(other_scheme)
        && name_of(authority).eq_ignore_ascii_case(name_of(other))
        && port_of(scheme, authority) == port_of(scheme, other)
}

fn name_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    }
}

fn port_of<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = &authority[name_of(authority).len()..];
    match port.trim_start_matches(':') {
        "" if scheme.eq_ignore_ascii_case("https") => "443",
        "" => "80",
        port => port,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn location(target: &str, prefix: &str, value: &str) -> Option<String> {
        let target = Target::parse(target).expect("a target");
        let rewriter = Rewriter::new(&target, "client.example", prefix.to_owned());
        let value = HeaderValue::from_str(value).expect("a value");
        rewriter.location(&value).map(|value| value.to_str().expect("text").to_owned())
    }

    fn cookie(target: &str, prefix: &str, value: &str) -> Option<String> {
        let target = Target::parse(target).expect("a target");
        let rewriter = Rewriter::new(&target, "client.example", prefix.to_owned());
        let value = HeaderValue::from_str(value).expect("a value");
        rewriter.cookie(&value).map(|value| value.to_str().expect("text").to_owned())
    }

    #[test]
    fn a_redirect_to_the_target_becomes_a_path() {
        for (value, expected) in [
            ("http://up:9000/x?q#f", "/x?q#f"),
            ("HTTP://UP:9000/x", "/x"),
            ("//up:9000/x", "/x"),
            ("http://up:9000", "/"),
            ("https://client.example/x", "/x"),
        ] {
            assert_eq!(location("http://up:9000", "", value).as_deref(), Some(expected), "{value}");
        }
    }

    #[test]
    fn a_redirect_elsewhere_is_left_alone() {
        for value in [
            "http://other/x",
            "http://up/x",
            "https://up:9000/x",
            "http://up:9000@evil/x",
            "x",
            "/x",
            "mailto:a@b",
            "http://up:9000.evil/",
            "javascript://up:9000/x",
        ] {
            assert_eq!(location("http://up:9000", "", value), None, "{value}");
        }
    }

    #[test]
    fn the_targets_own_path_gives_way_to_the_clients() {
        assert_eq!(location("http://up/app", "/shop", "/app/x").as_deref(), Some("/shop/x"));
        assert_eq!(location("http://up/app", "", "http://up/app").as_deref(), Some("/"));
        assert_eq!(location("http://up/app", "/shop", "/apple"), None);
        assert_eq!(location("http://up", "/shop", "/x").as_deref(), Some("/shop/x"));
    }

    #[test]
    fn a_redirect_never_becomes_the_name_of_another_host() {
        assert_eq!(
            location("http://up", "", "http://up//evil.example/").as_deref(),
            Some("/.//evil.example/")
        );
        assert_eq!(
            location("http://up", "", "http://up/\\evil.example").as_deref(),
            Some("/./\\evil.example")
        );
        assert_eq!(location("http://up/a", "", "/a//evil.example").as_deref(), Some("/.//evil.example"));
    }

    #[test]
    fn a_cookie_for_the_target_becomes_one_for_the_client() {
        assert_eq!(cookie("http://up", "", "a=b; Domain=up; Secure").as_deref(), Some("a=b; Secure"));
        assert_eq!(cookie("http://up", "", "a=b; domain=.UP").as_deref(), Some("a=b"));
        assert_eq!(
            cookie("http://up/app", "/shop", "a=b; path=/app/x").as_deref(),
            Some("a=b; Path=/shop/x")
        );
        assert_eq!(cookie("http://up", "/shop", "a=b; Path=/").as_deref(), Some("a=b; Path=/shop"));
    }

    #[test]
    fn other_cookies_are_left_alone() {
        assert_eq!(cookie("http://up", "", "a=Domain=up; Path=/x"), None);
        assert_eq!(cookie("http://up", "", "a=b; Domain=other"), None);
        assert_eq!(cookie("http://up", "/shop", "__Host-a=b; Path=/; Secure"), None);
        assert_eq!(cookie("http://up/app", "/shop", "a=b; Path=/"), None);
    }

    proptest! {
        #[test]
        fn whatever_a_target_says_a_rewritten_redirect_stays_with_us(
            value in "(http://up|//up|HTTP://UP:80|https://client[.]example)?[/\\\\a?#:@.]{0,12}",
            base in "(/a)?",
            prefix in "(/shop)?",
        ) {
            if let Some(location) = location(&format!("http://up{base}"), &prefix, &value) {
                prop_assert!(location.starts_with('/'));
                prop_assert!(!location.starts_with("//") && !location.starts_with("/\\"));
            }
        }

        #[test]
        fn a_cookie_of_any_shape_is_rewritten_without_harm(value in "[ -~\u{e9}]{0,40}") {
            let target = Target::parse("http://up/a").expect("a target");
            let rewriter = Rewriter::new(&target, "up", "/b".to_owned());
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                let before = value.as_bytes().split(|byte| *byte == b';').next().map(<[u8]>::to_vec);
                let after = rewriter.cookie(&value).unwrap_or(value);
                prop_assert_eq!(after.as_bytes().split(|byte| *byte == b';').next().map(<[u8]>::to_vec), before);
            }
        }
    }
}
