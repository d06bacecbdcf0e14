//! Requests that a layer makes for another resource of the same site, to the handlers inside it.

use http::header::{self, HeaderMap, HeaderName};
use http::{Extensions, Uri};

use crate::{Body, Context, Request, path};

/// Marks a request that a layer made. It comes from no client: layers that make such requests pass it on untouched.
#[derive(Clone, Copy, Debug)]
pub struct Subrequest;

/// What is kept of a client's request to make subrequests from.
///
/// A subrequest is anonymous: it has the request's host, scheme and mount point, but no cookies, no credentials, and
/// nothing that layers further out told the application.
pub struct Origin {
    extensions: Extensions,
    headers: HeaderMap,
    context: Context,
    path: String,
}

impl Origin {
    /// Keeps what subrequests need of `request`.
    pub fn of(request: &Request) -> Self {
        let mut extensions = request.extensions().clone();
        let mut context = extensions.remove::<Context>().unwrap_or_default();
        (context.notes, context.told) = (None, Vec::new());
        let mut headers = HeaderMap::new();
        for name in OF_THE_SITE {
            for value in request.headers().get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        let below = if context.path_is_empty { "" } else { request.uri().path() };
        let path = format!("{}{below}", path::encode(&context.script_name));
        Origin { extensions, headers, context, path }
    }

    /// The path of the client's request, with the mount point, percent-encoded.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path prefix that the handlers inside are mounted at, decoded; empty at the root.
    pub fn mount_point(&self) -> &[u8] {
        &self.context.script_name
    }

    /// Whether `authority` is the host that the request was sent to.
    pub fn is_at(&self, authority: &str) -> bool {
        let names = [header::HOST, HeaderName::from_static("x-forwarded-host")];
        names.iter().flat_map(|name| self.headers.get_all(name)).any(|host| {
            host.to_str().is_ok_and(|host| {
                host.eq_ignore_ascii_case(authority)
                    || host
                        .strip_suffix(":80")
                        .or(host.strip_suffix(":443"))
                        .is_some_and(|host| host == authority)
            })
        })
    }

    /// Identifies the site: subrequests of equal sites have the same answers.
    pub fn site(&self) -> String {
        let fields = self.headers.iter().map(|(name, value)| format!("{name}:{value:?}"));
        let scheme = self.context.connection.scheme.as_str().to_owned();
        let mount_point = String::from_utf8_lossy(&self.context.script_name).into_owned();
        [scheme, mount_point].into_iter().chain(fields).collect::<Vec<_>>().join("\n")
    }

    /// A GET request for `target`, an absolute path on this host with an optional query; `None` if it is outside of the
    /// mount point.
    pub fn get(&self, target: &str) -> Option<Request> {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let below = self.below(path)?;
        let mut uri = if below.is_empty() { "/".to_owned() } else { below.to_owned() };
        if let Some(query) = query {
            uri.extend(["?", query]);
        }
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri.parse::<Uri>().ok()?;
        *request.headers_mut() = self.headers.clone();
        *request.extensions_mut() = self.extensions.clone();
        let mut context = self.context.clone();
        context.path_is_empty = below.is_empty();
        context.target = target.to_owned().into();
        request.extensions_mut().insert(context);
        request.extensions_mut().insert(Subrequest);
        Some(request)
    }

    /// The part of `path` below the mount point.
    fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        let ends = path.match_indices('/').map(|(place, _)| place).chain([path.len()]);
        let mut splits = ends.map(|end| path.split_at(end));
        let (_, below) = splits.find(|(prefix, _)| *path::decode(prefix) == *self.context.script_name)?;
        Some(below)
    }
}

/// What tells one site from another. All of these are part of [`Origin::site`].
const OF_THE_SITE: [HeaderName; 6] = [
    header::HOST,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-ssl"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RequestExt;

    fn origin(path: &str, mounted: usize) -> Origin {
        let mut request = http::Request::get(path)
            .header("host", "example.org")
            .header("cookie", "a=1")
            .header("authorization", "Basic eDp5")
            .body(Body::empty())
            .expect("a request");
        request.mount_at(mounted);
        request.tell("x.user", crate::Value::Flag(true));
        Origin::of(&request)
    }

    #[test]
    fn a_subrequest_is_for_the_same_site_without_the_visitor() {
        let request = origin("/feeds/new.xml?page=2", 0).get("/static/rss.xsl?v=1").expect("a request");

        assert_eq!(request.uri(), "/static/rss.xsl?v=1");
        assert_eq!(request.headers().len(), 1);
        assert_eq!(request.headers()["host"], "example.org");
        assert!(request.extensions().get::<Subrequest>().is_some());
        let context = request.context().expect("it has one");
        assert_eq!((&*context.target, context.told.len()), (&b"/static/rss.xsl?v=1"[..], 0));
    }

    #[test]
    fn below_a_mount_point_targets_lose_it_and_others_are_out_of_reach() {
        let origin = origin("/my%20blog/feed.xml", "/my%20blog".len());
        assert_eq!(origin.path(), "/my%20blog/feed.xml");

        let request = origin.get("/my%20blog/rss.xsl").expect("within");
        assert_eq!((request.path(), request.uri().path()), ("/rss.xsl", "/rss.xsl"));
        assert_eq!(&*request.context().expect("it has one").script_name, b"/my blog");
        assert_eq!(origin.get("/my%20blog").expect("at it").path(), "");
        for outside in ["/rss.xsl", "/my%20blogs/rss.xsl", "rss.xsl"] {
            assert!(origin.get(outside).is_none(), "{outside}");
        }
    }

    #[test]
    fn a_host_is_known_with_and_without_its_default_port() {
        let origin = origin("/", 0);
        assert!(origin.is_at("EXAMPLE.org"));
        assert!(!origin.is_at("example.com") && !origin.is_at("example.org:8000"));
    }
}
