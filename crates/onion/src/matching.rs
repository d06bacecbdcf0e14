//! `match=` and `unless=`: for which requests a layer is there. Every layer takes both; they are compiled once.

use http::{HeaderName, Method};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{AddressRange, Glob, Host, HostPattern, OptionError, Request, RequestExt, path};

/// A condition on requests. Each part that is given must hold; a list holds if one of its members does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Matching {
    /// Globs over the decoded path below the mount point: `*` stands for any characters within a segment, `**`
    /// for any at all, `?` for one. `/admin/**` matches `/admin` too.
    #[serde(deserialize_with = "one_or_many")]
    pub path: Vec<String>,
    /// Request methods, such as `POST`, in upper or lower case.
    #[serde(deserialize_with = "one_or_many")]
    pub method: Vec<String>,
    /// Hosts, with a port or for all ports; `*.example.org` stands for every name below `example.org`.
    #[serde(deserialize_with = "one_or_many")]
    pub host: Vec<String>,
    /// `Name` (the request has this header) or `Name: glob` (with such a value; `*` stands for any characters).
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
    path: Vec<Glob>,
    method: Vec<Method>,
    host: Vec<HostPattern>,
    header: Vec<(HeaderName, Option<Glob>)>,
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
        let path = given.path.iter().map(|glob| Glob::path(glob)).collect::<Result<_, _>>();
        let path = path.map_err(|why| OptionError(format!("path: {why}")))?;
        let host = given.host.iter().map(|host| HostPattern::parse(host)).collect::<Result<_, _>>();
        let host = host.map_err(|why| OptionError(format!("host: {why}")))?;
        Ok(Compiled { path, method, host, header, address: given.address.clone() })
    }

    fn holds(&self, request: &Request) -> bool {
        (self.path.is_empty() || self.path_holds(request))
            && (self.method.is_empty() || self.method_holds(request.method()))
            && (self.host.is_empty() || self.host_holds(request))
            && (self.header.is_empty() || self.header.iter().any(|header| header_matches(header, request)))
            && (self.address.is_empty() || self.address_holds(request))
    }

    /// Without regard to case: applications may take `post` for `POST`, as werkzeug does, and a guard has to cover both.
    fn method_holds(&self, method: &Method) -> bool {
        self.method.iter().any(|known| known.as_str().eq_ignore_ascii_case(method.as_str()))
    }

    fn path_holds(&self, request: &Request) -> bool {
        let path = path::decode(request.uri().path());
        self.path.iter().any(|glob| glob.matches_path(&path))
    }

    fn host_holds(&self, request: &Request) -> bool {
        Host::of(request).is_some_and(|host| self.host.iter().any(|pattern| pattern.matches(&host)))
    }

    fn address_holds(&self, request: &Request) -> bool {
        request.peer().address.is_some_and(|peer| self.address.iter().any(|range| range.contains(peer)))
    }
}

fn parse_method(text: &str) -> Result<Method, OptionError> {
    let upper = text.to_ascii_uppercase();
    Method::from_bytes(upper.as_bytes()).map_err(|_| {
        OptionError(format!("method: {text:?} is not a valid request method; expected GET or POST"))
    })
}

fn parse_header(text: &str) -> Result<(HeaderName, Option<Glob>), OptionError> {
    let (name, value) = match text.split_once(':') {
        Some((name, value)) => (name, Some(Glob::text(value.trim()))),
        None => (text, None),
    };
    let name = name.trim();
    if name.contains('_') {
        // They reach no layer: environ could not tell them from names with dashes.
        let dashed = name.replace('_', "-");
        let message = format!("header: {name:?} matches no header, since names with underscores are removed");
        return Err(OptionError(format!("{message}; expected {dashed:?}")));
    }
    let expected = "expected \"Name\" or \"Name: glob\"";
    let name = name
        .parse()
        .map_err(|_| OptionError(format!("header: {name:?} is not a valid header name; {expected}")))?;
    Ok((name, value))
}

fn header_matches((name, glob): &(HeaderName, Option<Glob>), request: &Request) -> bool {
    request.headers().get_all(name).iter().any(|value| match glob {
        None => true,
        Some(glob) => glob.matches(value.as_bytes()),
    })
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
    fn a_glob_covers_what_its_two_stars_are_below() {
        for path in ["/admin", "/admin/", "/admin/users"] {
            assert!(selects(r#"{"path": "/admin/**"}"#, &request("GET", path)), "{path}");
        }
        assert!(!selects(r#"{"path": ["/x", "/admin/**"]}"#, &request("GET", "/administrator")));
    }

    #[test]
    fn a_slash_in_a_header_is_no_end_of_a_star() {
        let request =
            http::Request::builder().header("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1)");
        let request = request.body(Body::empty()).expect("a request");
        assert!(selects(r#"{"header": "user-agent: *Googlebot*"}"#, &request));
    }

    #[test]
    fn a_condition_that_no_request_can_satisfy_is_rejected() {
        for (condition, expected) in [
            (r#"{"path": "admin/**"}"#, "match: path: \"admin/**\" matches no path"),
            (r#"{"path": ["/x", "^/x.*$"]}"#, "match: path: \"^/x.*$\" matches no path"),
            (r#"{"host": "https://example.org"}"#, "match: host: \"https://example.org\" matches no host"),
            (r#"{"header": "X_Debug"}"#, "match: header: \"X_Debug\" matches no header"),
            (r#"{"method": "GET,POST"}"#, "match: method: \"GET,POST\" is not a valid request method"),
        ] {
            let matching: Matching = serde_json::from_str(condition).expect("a condition");
            let error = When::new(Some(&matching), None).expect_err(condition).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn the_path_is_compared_decoded() {
        assert!(selects(r#"{"path": "/a b"}"#, &request("GET", "/a%20b")));
    }

    #[test]
    fn each_part_given_must_hold() {
        let condition = r#"{"method": ["post"], "host": "*.example.org", "header": "x-debug: yes*"}"#;

        assert!(selects(condition, &request("POST", "/")));
        assert!(selects(condition, &request("pOsT", "/")));
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
