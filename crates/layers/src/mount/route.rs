//! One route as it is written: methods, host and path, each of them optional.

use http::Method;
use onion::Host;

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

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostPattern {
    Exact(Host),
    /// `*.example.org`: all names that end so, the dot included.
    Below(Host),
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
        let place = ["http://", "https://", "//"]
            .iter()
            .find_map(|scheme| place.strip_prefix(scheme))
            .unwrap_or(place);
        let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let host = if host.is_empty() { None } else { Some(HostPattern::parse(host)?) };
        Ok(Route { methods, host, segments: segments(path)? })
    }
}

impl HostPattern {
    fn parse(text: &str) -> Result<Self, String> {
        let refused = || {
            "is no route; write a path such as /blog, a host such as api.example.org, or *.example.org/path"
                .to_owned()
        };
        let (below, name) = match text.strip_prefix('*') {
            Some(suffix) if suffix.starts_with('.') => (true, &suffix[1..]),
            _ => (false, text),
        };
        let mut host = Host::parse(name).ok_or_else(refused)?;
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
        if !host.name.bytes().all(good) {
            return Err(refused());
        }
        if below {
            host.name.insert(0, '.');
            return Ok(HostPattern::Below(host));
        }
        Ok(HostPattern::Exact(host))
    }
}

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
        _ => Ok(segment.as_bytes().to_vec()),
    });
    segments.collect()
}

#[cfg(test)]
mod tests {
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
        {
            let why = Route::parse(text).expect_err(text);
            assert!(why.contains("; write "), "{text}: {why}");
        }
    }
}
