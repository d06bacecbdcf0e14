//! The way from HTTP to HTTPS: what `redirect://` places answer.

use http::{HeaderValue, StatusCode, header};
use onion::{Answer, Handler, Host, Request, Response, answer, plain};

/// Sends every request to the same place by HTTPS.
pub(crate) struct Redirect {
    /// The port that is to be written; none where it is the scheme's own.
    port: Option<u16>,
}

impl Redirect {
    /// To the place that listens on `port`.
    pub(crate) fn to(port: u16) -> Self {
        Redirect { port: (port != 443).then_some(port) }
    }

    fn location(&self, request: &Request) -> Option<HeaderValue> {
        let host = Host::parse(request.headers().get(header::HOST)?.to_str().ok()?)?.name;
        let path = request.uri().path_and_query().map(http::uri::PathAndQuery::as_str);
        // `OPTIONS *` is about the server as a whole.
        let path = path.filter(|path| path.starts_with('/')).unwrap_or("/");
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        HeaderValue::try_from(format!("https://{host}{port}{path}")).ok()
    }
}

impl Handler for Redirect {
    fn call(&self, request: Request) -> Answer<'_> {
        let Some(location) = self.location(&request) else {
            return answer(plain(StatusCode::BAD_REQUEST, "The request does not say for which host it is\n"));
        };
        // 308 and not 301: the method stays what it is (RFC 9110 section 15.4.9).
        let mut response: Response = plain(StatusCode::PERMANENT_REDIRECT, "This is served by HTTPS\n");
        response.headers_mut().insert(header::LOCATION, location);
        answer(response)
    }
}

#[cfg(test)]
mod tests {
    use onion::Body;

    use super::*;

    fn location(port: u16, host: Option<&str>, target: &str) -> Option<String> {
        let mut request = http::Request::builder().uri(target);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let request = request.body(Body::empty()).expect("a request");
        Some(Redirect::to(port).location(&request)?.to_str().expect("ASCII").to_owned())
    }

    #[test]
    fn the_place_is_the_same_by_https() {
        for (port, host, target, expected) in [
            (443, "example.org", "/a?b=c", "https://example.org/a?b=c"),
            (443, "example.org:80", "/", "https://example.org/"),
            (8443, "Example.ORG:8080", "/%20", "https://example.org:8443/%20"),
            (8443, "[::1]:80", "/", "https://[::1]:8443/"),
            (443, "example.org", "*", "https://example.org/"),
            (443, "example.org", "//evil.example/", "https://example.org//evil.example/"),
            (443, "example.org", "http://other.example/a", "https://example.org/a"),
        ] {
            assert_eq!(location(port, Some(host), target).as_deref(), Some(expected), "{host} {target}");
        }
    }

    #[test]
    fn without_a_host_there_is_no_place() {
        for host in [None, Some(""), Some("a:b"), Some(":80")] {
            assert_eq!(location(443, host, "/"), None, "{host:?}");
        }
    }
}
