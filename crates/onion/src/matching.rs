//! `match=` and `unless=`: for which requests a layer is there. Every layer takes both; they are compiled once.

use http::{HeaderName, Method};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AddressRange, Host, OptionError, Request, RequestExt, path};

/// A condition on requests. Each part that is given must hold; a list holds if one of its members does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Matching {
    /// Globs over the decoded path below the mount point: `*` stands for any characters within a segment, `**`
    /// for any at all, `?` for one.
    #[serde(deserialize_with = "one_or_many")]
    pub path: Vec<String>,
    /// Request methods, such as `POST`.
    #[serde(deserialize_with = "one_or_many")]
    pub method: Vec<String>,
    /// Hosts without port; `*.example.org` stands for every name below `example.org`.
    #[serde(deserialize_with = "one_or_many")]
    pub host: Vec<String>,
    /// `Name` (the request has this header) or `Name: glob` (with such a value).
    #[serde(deserialize_with = "one_or_many")]
    pub header: Vec<String>,
    /// Client addresses and CIDR ranges.
    #[serde(deserialize_with = "one_or_many")]
    pub address: Vec<AddressRange>,
}

/// `match=` and `unless=` of one layer, compiled.
#[derive(Clone, Debug, Default)]
pub struct When {
    matching: Option<Box<Compiled>>,
    unless: Option<Box<Compiled>>,
}

impl When {
    /// For every request.
    pub fn always() -> Self {
        When::default()
    }

    /// Whether it is for every request.
    pub fn is_always(&self) -> bool {
        self.matching.is_none() && self.unless.is_none()
    }

    /// For requests that satisfy `matching` and not `unless`.
    pub fn new(matching: Option<&Matching>, unless: Option<&Matching>) -> Result<Self, OptionError> {
        let compile = |name: &str, given: Option<&Matching>| {
            given
                .map(|given| Compiled::new(given).map(Box::new))
                .transpose()
                .map_err(|error| OptionError(format!("{name}: {error}")))
        };
        Ok(When { matching: compile("match", matching)?, unless: compile("unless", unless)? })
    }

    /// Whether the layer is there for `request`.
    pub fn selects(&self, request: &Request) -> bool {
        self.matching.as_ref().is_none_or(|matching| matching.holds(request))
            && self.unless.as_ref().is_none_or(|unless| !unless.holds(request))
    }
}

#[derive(Clone, Debug)]
struct Compiled {
    path: Vec<String>,
    method: Vec<Method>,
    host: Vec<String>,
    header: Vec<(HeaderName, Option<String>)>,
    address: Vec<AddressRange>,
}

impl Compiled {
    fn new(given: &Matching) -> Result<Self, OptionError> {
        if *given == Matching::default() {
            let message = "nothing to match on was given; give path, method, host, header or address";
            return Err(OptionError(message.to_owned()));
        }
        let method = given.method.iter().map(|method| parse_method(method)).collect::<Result<_, _>>()?;
        let header = given.header.iter().map(|header| parse_header(header)).collect::<Result<_, _>>()?;
        let host = given.host.iter().map(|host| host.to_ascii_lowercase()).collect();
        Ok(Compiled { path: given.path.clone(), method, host, header, address: given.address.clone() })
    }

    fn holds(&self, request: &Request) -> bool {
        let path = || path::decode(request.uri().path());
        (self.path.is_empty() || self.path.iter().any(|glob| glob_matches(glob.as_bytes(), &path())))
            && (self.method.is_empty() || self.method.contains(request.method()))
            && (self.host.is_empty() || self.host.iter().any(|host| host_matches(host, request)))
            && (self.header.is_empty() || self.header.iter().any(|header| header_matches(header, request)))
            && (self.address.is_empty() || self.address_holds(request))
    }

    fn address_holds(&self, request: &Request) -> bool {
        request.peer().address.is_some_and(|peer| self.address.iter().any(|range| range.contains(peer)))
    }
}

fn parse_method(text: &str) -> Result<Method, OptionError> {
    let upper = text.to_ascii_uppercase();
    Method::from_bytes(upper.as_bytes())
        .map_err(|_| OptionError(format!("method: {text:?} is no request method; write GET or POST")))
}

fn parse_header(text: &str) -> Result<(HeaderName, Option<String>), OptionError> {
    let (name, value) = match text.split_once(':') {
        Some((name, value)) => (name, Some(value.trim().to_owned())),
        None => (text, None),
    };
    match name.trim().parse() {
        Ok(name) => Ok((name, value)),
        Err(_) => {
            Err(OptionError(format!("header: {name:?} is no header name; write \"Name\" or \"Name: glob\"")))
        }
    }
}

fn host_matches(host: &str, request: &Request) -> bool {
    let Some(Host { name, .. }) = Host::of(request) else { return false };
    match host.strip_prefix('*') {
        Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
        None => name == host,
    }
}

fn header_matches((name, glob): &(HeaderName, Option<String>), request: &Request) -> bool {
    request.headers().get_all(name).iter().any(|value| match glob {
        None => true,
        Some(glob) => glob_matches(glob.as_bytes(), value.as_bytes()),
    })
}

/// Whether `text` is of the form `glob`: `*` stands for any bytes but slashes, `**` for any at all, `?` for one.
///
/// The places of the glob that can be reached are followed byte by byte, so the work is bounded by the product of the
/// two lengths: the text is the client's to choose.
pub fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    let mut reached = vec![false; glob.len() + 1];
    reached[0] = true;
    skip_stars(glob, &mut reached);
    for byte in text {
        let mut next = vec![false; glob.len() + 1];
        for (place, wanted) in glob.iter().enumerate().filter(|(place, _)| reached[*place]) {
            match wanted {
                b'*' => {
                    let crosses =
                        glob.get(place + 1) == Some(&b'*') || (place > 0 && glob[place - 1] == b'*');
                    next[place] |= crosses || *byte != b'/';
                }
                b'?' => next[place + 1] |= *byte != b'/',
                wanted => next[place + 1] |= wanted == byte,
            }
        }
        skip_stars(glob, &mut next);
        reached = next;
    }
    reached[glob.len()]
}

/// A star may stand for nothing: what comes after it is reached with it.
fn skip_stars(glob: &[u8], reached: &mut [bool]) {
    for place in 0..glob.len() {
        if reached[place] && glob[place] == b'*' {
            reached[place + 1] = true;
        }
    }
}

/// A list, or one member without brackets. Not an untagged enum: that would swallow what is wrong with a member.
pub fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: DeserializeOwned,
{
    let members = match Value::deserialize(deserializer)? {
        Value::Array(members) => members,
        one => vec![one],
    };
    let read: Result<Vec<T>, _> = members.into_iter().map(serde_json::from_value).collect();
    read.map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    fn request(method: &str, path: &str) -> Request {
        http::Request::builder()
            .method(method)
            .uri(path)
            .header("Host", "API.example.org:8000")
            .header("X-Debug", "yes, please")
            .body(Body::empty())
            .expect("a request")
    }

    fn selects(matching: &str, request: &Request) -> bool {
        let matching: Matching = serde_json::from_str(matching).expect("a condition");
        When::new(Some(&matching), None).expect("compiles").selects(request)
    }

    #[test]
    fn a_star_stays_within_its_segment_and_two_do_not() {
        assert!(selects(r#"{"path": "/api/*"}"#, &request("GET", "/api/items")));
        assert!(!selects(r#"{"path": "/api/*"}"#, &request("GET", "/api/items/7")));
        assert!(selects(r#"{"path": ["/x", "/api/**"]}"#, &request("GET", "/api/items/7")));
    }

    #[test]
    fn a_glob_of_many_stars_is_decided_at_once() {
        let path = format!("/{}", "a".repeat(5000));

        assert!(!selects(r#"{"path": "/**a**a**a**a**a**a**a**a**b"}"#, &request("GET", &path)));
    }

    #[test]
    fn the_path_is_compared_decoded() {
        assert!(selects(r#"{"path": "/a b"}"#, &request("GET", "/a%20b")));
    }

    #[test]
    fn each_part_given_must_hold() {
        let condition = r#"{"method": ["post"], "host": "*.example.org", "header": "x-debug: yes*"}"#;

        assert!(selects(condition, &request("POST", "/")));
        assert!(!selects(condition, &request("GET", "/")));
    }

    #[test]
    fn a_request_without_address_matches_no_address() {
        assert!(!selects(r#"{"address": ["0.0.0.0/0", "::/0"]}"#, &request("GET", "/")));
    }

    #[test]
    fn unless_takes_away_what_match_selects() {
        let matching: Matching = serde_json::from_str(r#"{"path": "/**"}"#).expect("a condition");
        let unless: Matching = serde_json::from_str(r#"{"path": "/health"}"#).expect("a condition");
        let when = When::new(Some(&matching), Some(&unless)).expect("compiles");

        assert!(when.selects(&request("GET", "/")));
        assert!(!when.selects(&request("GET", "/health")));
    }

    #[test]
    fn an_empty_condition_is_refused() {
        let error = When::new(Some(&Matching::default()), None).expect_err("nothing to match on");

        assert!(error.to_string().starts_with("match: nothing to match on"), "{error}");
    }
}
