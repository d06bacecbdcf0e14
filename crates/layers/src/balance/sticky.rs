//! The cookie by which a client stays with its target.

use std::hash::{DefaultHasher, Hash, Hasher};

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use onion::{OptionError, Scheme};

/// What a target is called in a cookie: nothing that tells where it is.
pub(super) fn mark(target: &str) -> String {
    let mut hasher = DefaultHasher::new();
    target.hash(&mut hasher);
    format!("{:08x}", hasher.finish() & 0xffff_ffff)
}

/// The value of the cookie `name`, if the request has it.
pub(super) fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// The cookie that makes a client stay.
pub(super) fn cookie(name: &str, mark: &str, scheme: Scheme) -> Option<HeaderValue> {
    let secure = if scheme == Scheme::Https { "; Secure" } else { "" };
    HeaderValue::try_from(format!("{name}={mark}; Path=/; HttpOnly; SameSite=Lax{secure}")).ok()
}

/// Refuses what can be no cookie's name (RFC 6265 section 4.1.1).
pub(super) fn check_name(name: &str) -> Result<(), OptionError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !name.is_empty() && name.bytes().all(is_token) {
        return Ok(());
    }
    Err(OptionError(format!("sticky: {name:?} can be no cookie's name; give one such as backend")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; xb=2;b=3=4; b=5"));
        headers.append(COOKIE, HeaderValue::from_static("c=6"));

        assert_eq!(find(&headers, "b"), Some("3=4"));
        assert_eq!(find(&headers, "c"), Some("6"));
        assert_eq!(find(&headers, "d"), None);
    }
}
