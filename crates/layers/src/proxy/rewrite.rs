//! Redirects and cookies that are meant for the target's address, as they have to be for the client's.
//!
//! Only what points at the target is touched. A redirect becomes a path without a host: it can't lead anywhere else,
//! whatever the target or the client says.

use http::header::{CONTENT_LOCATION, LOCATION, REFRESH, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use super::target::Target;

/// Rewrites for one request.
pub(crate) struct Rewriter<'a> {
    target: &'a Target,
    /// The Host that was sent to the target.
    host: &'a str,
    prefixes: Prefixes,
}

/// What paths on the client's side begin with.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Prefixes {
    /// The prefix that replaces the target's own path.
    pub(crate) own: String,
    /// The prefix that the target is sent in `X-Forwarded-Prefix`. It is longer than `own` if a trusted proxy in front
    /// has sent one, too.
    pub(crate) forwarded: String,
}

impl<'a> Rewriter<'a> {
    pub(crate) fn new(target: &'a Target, host: &'a str, prefixes: Prefixes) -> Self {
        Rewriter { target, host, prefixes }
    }

    /// Whether there is anything in a response that may need it.
    pub(crate) fn has_work(headers: &HeaderMap) -> bool {
        [LOCATION, CONTENT_LOCATION, REFRESH, SET_COOKIE].iter().any(|name| headers.contains_key(name))
    }

    /// A new value for `Location` or `Content-Location`, if it needs one.
    pub(crate) fn location(&self, value: &HeaderValue) -> Option<HeaderValue> {
        HeaderValue::try_from(self.reference(value.to_str().ok()?)?).ok()
    }

    /// A new value for `Refresh` (`5; url=/path`), if it needs one.
    pub(crate) fn refresh(&self, value: &HeaderValue) -> Option<HeaderValue> {
        let text = value.to_str().ok()?;
        let after = text.find([';', ','])? + 1;
        let url = text[after..].trim_start();
        let url = url.get(..4).filter(|name| name.eq_ignore_ascii_case("url=")).map(|_| &url[4..])?;
        let before = &text[..text.len() - url.len()];
        let (quote, url) = match url.chars().next()? {
            quote @ ('"' | '\'') => (&url[..1], url[1..].trim_end_matches(quote)),
            _ => ("", url),
        };
        HeaderValue::try_from(format!("{before}{quote}{}{quote}", self.reference(url)?)).ok()
    }

    fn reference(&self, text: &str) -> Option<String> {
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
        let mut location = if self.is_public(path) {
            path.to_owned()
        } else {
            format!("{}{}", self.prefixes.own, below(path, &self.target.base)?)
        };
        if !moved && location == path {
            return None;
        }
        if !location.starts_with('/') {
            location.insert(0, '/');
        }
        if location.starts_with("//") || location.starts_with("/\\") {
            // Otherwise it would be the name of another host (RFC 3986 section 4.2).
            location.insert_str(0, "/.");
        }
        Some(location)
    }

    /// Whether a path begins with the client's prefix already, as applications write them that honour
    /// `X-Forwarded-Prefix` or know their mount point.
    fn is_public(&self, path: &str) -> bool {
        let Prefixes { own, forwarded } = &self.prefixes;
        if own.is_empty() && forwarded.is_empty() {
            return false;
        }
        // Of two that fit, the longer one is meant: the target's own path may be /api/v1, and the mount point /api.
        let base = &self.target.base;
        if base.len() >= own.len() && below(path, base).is_some() && !base.is_empty() {
            return false;
        }
        [own, forwarded].into_iter().any(|prefix| !prefix.is_empty() && below(path, prefix).is_some())
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
        if !path.starts_with('/') || self.target.base == self.prefixes.own {
            return None;
        }
        if self.is_public(path) {
            return None;
        }
        let rest = below(path, &self.target.base)?;
        let moved = format!("{}{}", self.prefixes.own, if rest == "/" { "" } else { rest });
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
}

/// What follows `prefix` in `path`, if the prefix ends where a segment of the path does. Two spellings of one path are
/// the same (RFC 3986 section 6.2.2), but an encoded slash is not a separator.
fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let (mut rest, mut expected) = (path.as_bytes(), prefix.as_bytes());
    while !expected.is_empty() {
        if take_letter(&mut rest)? != take_letter(&mut expected)? {
            return None;
        }
    }
    matches!(rest, [] | [b'/' | b'?' | b'#', ..]).then(|| &path[path.len() - rest.len()..])
}

/// The first letter of a path, decoded, and whether it is an encoded slash.
fn take_letter(path: &mut &[u8]) -> Option<(u8, bool)> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if let [b'%', high, low, rest @ ..] = *path
        && let (Some(high), Some(low)) = (digit(*high), digit(*low))
    {
        *path = rest;
        let letter = high << 4 | low;
        return Some((letter, letter == b'/'));
    }
    let (first, rest) = path.split_first()?;
    *path = rest;
    Some((*first, false))
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

    fn prefixes(prefix: &str) -> Prefixes {
        Prefixes { own: prefix.to_owned(), forwarded: prefix.to_owned() }
    }

    fn location(target: &str, prefix: &str, value: &str) -> Option<String> {
        let target = Target::parse(target).expect("a target");
        let rewriter = Rewriter::new(&target, "client.example", prefixes(prefix));
        let value = HeaderValue::from_str(value).expect("a value");
        rewriter.location(&value).map(|value| value.to_str().expect("text").to_owned())
    }

    fn cookie(target: &str, prefix: &str, value: &str) -> Option<String> {
        let target = Target::parse(target).expect("a target");
        let rewriter = Rewriter::new(&target, "client.example", prefixes(prefix));
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
    fn a_path_that_has_the_clients_prefix_is_left_alone() {
        for value in ["/shop/cart?x", "/shop", "/shop?x", "/shop#x", "/%73hop/cart", "/shop/shop/x"] {
            assert_eq!(location("http://up", "/shop", value), None, "{value}");
        }
        assert_eq!(location("http://up", "/caf%C3%A9", "/caf%c3%a9/x"), None);
        assert_eq!(location("http://up", "/shop", "http://up/shop/cart").as_deref(), Some("/shop/cart"));
        assert_eq!(location("http://up", "/shop", "http://client.example/shop").as_deref(), Some("/shop"));
        for value in ["/shopping/cart", "/shop%2Fcart", "/sho", "/SHOP/x", "/x/shop"] {
            let expected = format!("/shop{value}");
            assert_eq!(location("http://up", "/shop", value).as_deref(), Some(&*expected));
        }
    }

    #[test]
    fn the_longer_of_two_prefixes_that_fit_is_meant() {
        assert_eq!(location("http://up/api/v1", "/api", "/api/v1/users").as_deref(), Some("/api/users"));
        assert_eq!(location("http://up/api/v1", "/api", "/api/users"), None);
        assert_eq!(location("http://up/api", "/api/v1", "/api/v1/users"), None);
        assert_eq!(location("http://up/api", "/api/v1", "/api/users").as_deref(), Some("/api/v1/users"));
    }

    #[test]
    fn what_a_proxy_in_front_has_as_its_prefix_is_left_alone_too() {
        let target = Target::parse("http://up").expect("a target");
        let prefixes = Prefixes { own: "/shop".to_owned(), forwarded: "/eu/shop".to_owned() };
        let rewriter = Rewriter::new(&target, "up", prefixes);
        assert_eq!(rewriter.reference("/eu/shop/cart"), None);
        assert_eq!(rewriter.reference("/shop/cart"), None);
        assert_eq!(rewriter.reference("/eu/cart").as_deref(), Some("/shop/eu/cart"));
    }

    #[test]
    fn a_refresh_is_a_redirect_too() {
        let target = Target::parse("http://up").expect("a target");
        let rewriter = Rewriter::new(&target, "up", prefixes("/shop"));
        let refresh = |value: &'static str| {
            let value = rewriter.refresh(&HeaderValue::from_static(value));
            value.map(|value| value.to_str().expect("text").to_owned())
        };
        assert_eq!(refresh("5; url=/x").as_deref(), Some("5; url=/shop/x"));
        assert_eq!(refresh("0;URL='http://up/x'").as_deref(), Some("0;URL='/shop/x'"));
        for value in ["5", "5; url=/shop/x", "5; url=https://other/x", "5; url=", "5; u", "5; \"", "5; url='"]
        {
            assert_eq!(refresh(value), None, "{value}");
        }
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
        assert_eq!(cookie("http://up", "/shop", "a=b; Path=/shop"), None);
        assert_eq!(cookie("http://up", "/shop", "a=b; Path=/shop/cart"), None);
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
            let rewriter = Rewriter::new(&target, "up", prefixes("/b"));
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                let before = value.as_bytes().split(|byte| *byte == b';').next().map(<[u8]>::to_vec);
                let after = rewriter.cookie(&value).unwrap_or(value);
                prop_assert_eq!(after.as_bytes().split(|byte| *byte == b';').next().map(<[u8]>::to_vec), before);
            }
        }
    }
}
