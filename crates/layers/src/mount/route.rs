//! One route as it is written: methods, host and path, each of them optional.

use std::borrow::Cow;

use http::Method;
use onion::HostPattern;

/// `[METHOD,METHOD ][HOST[:PORT]][/PATH]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// None for all methods.
    pub(super) methods: Option<Vec<Method>>,
    /// None for all hosts.
    pub(super) host: Option<HostPattern>,
    /// The decoded segments; none for all paths.
    pub(super) segments: Vec<Vec<u8>>,
}

impl Route {
    /// Reads a route, or says what is wrong with it and what to write.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        // A path may hold blanks: methods are what is written as methods are, in capitals.
        let is_method =
            |word: &str| word.bytes().all(|byte| byte.is_ascii_uppercase() || b",-".contains(&byte));
        let (methods, place) = match text.split_once(' ') {
            Some((word, place)) if is_method(word) => (Some(parse_methods(word)?), place.trim()),
            _ => (None, text),
        };
        let given = place;
        let place = ["http://", "https://", "//"]
            .iter()
            .find_map(|scheme| place.strip_prefix(scheme))
            .unwrap_or(place);
        let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let host = match host {
            "" => None,
            // A dot, a port or a slash shows that a host is meant. A lone word is a path without its slash.
            name if given == name && !name.contains(['.', ':', '*']) && name != "localhost" => {
                return Err(format!(
                    "is ambiguous; expected the path \"/{name}\", or \"//{name}\" for a host"
                ));
            }
            name => Some(HostPattern::parse(name).map_err(|_| NOT_A_ROUTE.to_owned())?),
        };
        Ok(Route { methods, host, segments: segments(path)? })
    }
}

const NOT_A_ROUTE: &str = "is not a valid route; expected a path such as /blog, a host such as api.example.org, or *.example.org/path";

fn parse_methods(text: &str) -> Result<Vec<Method>, String> {
    let methods = text.split(',').map(|method| {
        Method::from_bytes(method.as_bytes())
            .map_err(|_| format!("has no request method {method:?}; write it as GET,HEAD /path"))
    });
    methods.collect()
}

/// The segments of a path that is written in an option: decoded already, as people read it.
fn segments(path: &str) -> Result<Vec<Vec<u8>>, String> {
    let path = path.trim_end_matches('/');
    let segments = path.split('/').skip(1).map(|segment| match segment {
        "" => Err("has an empty segment; write single slashes".to_owned()),
        "." | ".." => Err(format!("has the segment {segment:?}; write the path that is meant")),
        _ if segment.contains(['*', '?']) => {
            Err("is a pattern, but a route covers all paths below it; expected one such as \"/blog\""
                .to_owned())
        }
        _ if matches!(onion::path::decode(segment), Cow::Owned(_)) => {
            let decoded = onion::path::decode(path);
            Err(format!("is compared with decoded paths; expected {:?}", String::from_utf8_lossy(&decoded)))
        }
        _ => Ok(segment.as_bytes().to_vec()),
    });
    segments.collect()
}

#[cfg(test)]
mod tests {
    use onion::Host;

    use super::*;

    fn exact(name: &str, port: Option<u16>) -> HostPattern {
        HostPattern::Exact(Host { name: name.to_owned(), port })
    }

    #[test]
    fn a_route_is_methods_a_host_and_a_path_in_this_order() {
        let route = Route::parse("PUT,POST api.Example.org:8000/v1/up").expect("a route");

        assert_eq!(route.methods, Some(vec![Method::PUT, Method::POST]));
        assert_eq!(route.host, Some(exact("api.example.org", Some(8000))));
        assert_eq!(route.segments, [b"v1".to_vec(), b"up".to_vec()]);
    }

    #[test]
    fn each_part_may_be_left_out() {
        for (text, host, segments) in [
            ("", None, 0),
            ("/", None, 0),
            ("/blog/", None, 1),
            ("[::1]:80", Some(exact("[::1]", Some(80))), 0),
            ("http://blah.com/foo", Some(exact("blah.com", None)), 1),
            ("//blah.com", Some(exact("blah.com", None)), 0),
        ] {
            let route = Route::parse(text).expect(text);
            assert_eq!((route.host, route.segments.len()), (host, segments), "{text}");
        }
        let below = Host { name: ".example.org".to_owned(), port: None };
        assert_eq!(Route::parse("*.example.org").expect("a route").host, Some(HostPattern::Below(below)));
    }

    #[test]
    fn what_is_no_route_is_refused_with_the_way_out() {
        for text in
            ["a b c", "exam ple.org", "*example.org", "/a//b", "/a/../b", "host:port/x", "?a=b", ",GET /x"]
                .into_iter()
                .chain(["/blog/*", "/blog?x", "/a%20b"])
        {
            let why = Route::parse(text).expect_err(text);
            assert!(why.contains("; write ") || why.contains("; expected "), "{text}: {why}");
        }
    }

    #[test]
    fn a_lone_word_is_neither_a_path_nor_a_host() {
        for text in ["blog", "GET blog", "Blog"] {
            let why = Route::parse(text).expect_err(text);
            let word = text.trim_start_matches("GET ");
            assert!(why.contains(&format!("\"/{word}\"")) && why.contains(&format!("\"//{word}\"")), "{why}");
        }
        for text in ["//blog", "http://blog", "blog:80", "blog/x", "localhost"] {
            assert!(Route::parse(text).expect(text).host.is_some(), "{text}");
        }
    }
}
