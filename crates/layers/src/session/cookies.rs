//! The session's cookie: found among those of a request, and written for a response (RFC 6265).

use http::{HeaderMap, HeaderValue, header};
use onion::OptionError;

use super::{Options, SameSite};

/// The values of the cookies called `name` in one `Cookie` header, in the order in which they came.
pub(super) fn named<'a>(name: &'a str, header: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    header.split(|byte| *byte == b';').filter_map(move |pair| {
        let rest = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        rest.trim_ascii_start().strip_prefix(b"=").map(<[u8]>::trim_ascii)
    })
}

/// How the session's cookie is written.
pub(super) struct CookieForm {
    pub(super) name: String,
    /// What follows the value.
    attributes: String,
}

impl CookieForm {
    /// Checks the options that belong to the cookie, against each other too.
    pub(super) fn new(options: &Options) -> Result<Self, OptionError> {
        let default = if options.secure { "__Host-sid" } else { "sid" };
        let name = options.name.clone().unwrap_or_else(|| default.to_owned());
        check_name(&name, options)?;
        let mut attributes = format!("; Path={}", attribute("path", &options.path)?);
        if !options.path.starts_with('/') {
            return Err(OptionError(format!("path: {:?} is no path; give one such as /shop", options.path)));
        }
        if let Some(domain) = &options.domain {
            if domain.is_empty()
                || !domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
            {
                return Err(OptionError(format!(
                    "domain: {domain:?} is no domain; give one such as example.org"
                )));
            }
            attributes += "; Domain=";
            attributes += domain;
        }
        if options.secure {
            attributes += "; Secure";
        }
        if options.http_only {
            attributes += "; HttpOnly";
        }
        attributes += match options.same_site {
            SameSite::Strict => "; SameSite=Strict",
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None if options.secure => "; SameSite=None",
            SameSite::None => {
                let refusal =
                    "same_site: browsers take \"none\" only with secure; give \"lax\", or secure=True";
                return Err(OptionError(refusal.to_owned()));
            }
        };
        if options.partitioned {
            if !options.secure {
                let refusal = "partitioned: browsers accept this only with secure; expected secure=True";
                return Err(OptionError(refusal.to_owned()));
            }
            attributes += "; Partitioned";
        }
        Ok(CookieForm { name, attributes })
    }

    /// The values of this cookie that a request came with; a client has one, whoever tampers may have more.
    pub(super) fn values<'a>(&'a self, headers: &'a [HeaderValue]) -> impl Iterator<Item = &'a [u8]> {
        headers.iter().flat_map(|header| named(&self.name, header.as_bytes())).take(MOST_VALUES)
    }

    /// The header that sets the cookie, for `seconds` if it outlives the browser. As a refusal, its length.
    pub(super) fn set(&self, value: &str, seconds: Option<u64>) -> Result<HeaderValue, usize> {
        let mut text = format!("{}={value}{}", self.name, self.attributes);
        if let Some(seconds) = seconds {
            text += "; Max-Age=";
            text += &seconds.to_string();
        }
        if text.len() > LONGEST {
            return Err(text.len());
        }
        Ok(HeaderValue::try_from(text).expect("it is made of what may stand in a cookie"))
    }

    /// The header that takes the cookie away.
    pub(super) fn clear(&self) -> HeaderValue {
        let text = format!("{}={}; Max-Age=0", self.name, self.attributes);
        HeaderValue::try_from(text).expect("it is made of what may stand in a cookie")
    }
}

/// Says on a response that it is one client's own: what a shared cache must know (RFC 9111).
pub(super) fn keep_private(headers: &mut HeaderMap, sets_cookie: bool) {
    let varies = headers.get_all(header::VARY).iter().any(|vary| {
        vary.as_bytes().split(|byte| *byte == b',').any(|name| {
            let name = name.trim_ascii();
            name == b"*" || name.eq_ignore_ascii_case(b"cookie")
        })
    });
    if !varies {
        headers.append(header::VARY, HeaderValue::from_static("Cookie"));
    }
    let is_private = |value: &HeaderValue| {
        value.as_bytes().split(|byte| *byte == b',').any(|directive| {
            let directive = directive.trim_ascii();
            directive.eq_ignore_ascii_case(b"private") || directive.eq_ignore_ascii_case(b"no-store")
        })
    };
    let control = headers.get_all(header::CACHE_CONTROL);
    let given = control.iter().next().is_some();
    // A response that hands a session out is never stored for others, whatever the application says of it.
    if !given || (sets_cookie && !control.iter().any(is_private)) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}

fn check_name(name: &str, options: &Options) -> Result<(), OptionError> {
    let refused = |what: &str| Err(OptionError(what.to_owned()));
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(is_token) {
        return Err(OptionError(format!("name: {name:?} is no cookie's name; give one such as sid")));
    }
    let has = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let host = has("__Host-");
    if (host || has("__Secure-")) && !options.secure {
        return refused(
            "name: browsers take this prefix only with secure; give secure=True, or a name such as sid",
        );
    }
    if host && options.domain.is_some() {
        return refused("domain: a __Host- cookie has none; leave it out, or give name=\"__Secure-sid\"");
    }
    if host && options.path != "/" {
        return refused(
            "path: a __Host- cookie is for all paths; leave it out, or give name=\"__Secure-sid\"",
        );
    }
    Ok(())
}

fn attribute<'a>(option: &str, value: &'a str) -> Result<&'a str, OptionError> {
    if value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';') && value.len() <= LONGEST_ATTRIBUTE {
        return Ok(value);
    }
    Err(OptionError(format!(
        "{option}: {value:?} can't stand in a cookie; give visible ASCII without semicolons"
    )))
}

/// What browsers keep of a cookie, name and attributes included (RFC 6265 section 6.1).
const LONGEST: usize = 4096;
const LONGEST_NAME: usize = 64;
const LONGEST_ATTRIBUTE: usize = 1024;
const MOST_VALUES: usize = 4;

#[cfg(test)]
mod tests {
    use super::named;

    fn values(header: &str) -> Vec<String> {
        named("sid", header.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        assert_eq!(values("a=1; sid=x; b=2"), ["x"]);
        assert_eq!(values("sid2=x; xsid=y; SID=z; sid"), [""; 0]);
        assert_eq!(values(""), [""; 0]);
    }

    #[test]
    fn all_cookies_of_the_name_are_found_in_their_order() {
        assert_eq!(values("sid=1;sid=2; sid = 3 ;sid="), ["1", "2", "3", ""]);
    }

    #[test]
    fn a_value_may_hold_equals_signs() {
        assert_eq!(values("sid=a=b=="), ["a=b=="]);
    }
}
