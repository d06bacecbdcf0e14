//! The cookie by which a client stays with its target.

use std::hash::{DefaultHasher, Hash, Hasher};

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use onion::{OptionError, Scheme};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::options::Options;

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

/// Which requests from other sites bring the cookie along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum SameSite {
    Strict,
    #[default]
    Lax,
    None,
}

/// How the cookie is written.
pub(super) struct CookieForm {
    pub(super) name: String,
    same_site: SameSite,
    partitioned: bool,
}

impl CookieForm {
    pub(super) fn new(options: &Options) -> Result<Option<Self>, OptionError> {
        let (same_site, partitioned) = (options.sticky_same_site, options.sticky_partitioned);
        let Some(name) = options.sticky.clone() else {
            if (same_site, partitioned) != (SameSite::Lax, false) {
                let option = if partitioned { "sticky_partitioned" } else { "sticky_same_site" };
                return Err(OptionError(format!(
                    "{option}: it needs a cookie; expected sticky=\"backend\", too"
                )));
            }
            return Ok(None);
        };
        check_name(&name)?;
        Ok(Some(CookieForm { name, same_site, partitioned }))
    }

    /// The cookie that makes a client stay.
    pub(super) fn cookie(&self, mark: &str, scheme: Scheme) -> Option<HeaderValue> {
        let same_site = match self.same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        };
        // Browsers reject both without Secure. Behind a proxy that ends TLS the scheme is http.
        let needs_secure = self.same_site == SameSite::None || self.partitioned;
        let secure = if needs_secure || scheme == Scheme::Https { "; Secure" } else { "" };
        let partitioned = if self.partitioned { "; Partitioned" } else { "" };
        let name = &self.name;
        let text = format!("{name}={mark}; Path=/; HttpOnly; SameSite={same_site}{secure}{partitioned}");
        HeaderValue::try_from(text).ok()
    }
}

/// Refuses what can be no cookie's name (RFC 6265 section 4.1.1).
fn check_name(name: &str) -> Result<(), OptionError> {
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

    #[test]
    fn a_cookie_is_as_the_options_say_and_as_browsers_take_it() {
        let cookie = |same_site, partitioned, scheme| {
            let form = CookieForm { name: "b".to_owned(), same_site, partitioned };
            form.cookie("1", scheme).expect("a cookie").to_str().expect("text").to_owned()
        };
        let lax = "b=1; Path=/; HttpOnly; SameSite=Lax";
        assert_eq!(cookie(SameSite::Lax, false, Scheme::Http), lax);
        assert_eq!(cookie(SameSite::Lax, false, Scheme::Https), format!("{lax}; Secure"));
        assert_eq!(cookie(SameSite::Strict, false, Scheme::Http), "b=1; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(
            cookie(SameSite::None, true, Scheme::Http),
            "b=1; Path=/; HttpOnly; SameSite=None; Secure; Partitioned"
        );
    }
}
