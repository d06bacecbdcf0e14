//! What a request knows besides its head and body: the connection, the mount point, what layers tell the application.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::mem;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock, OnceLock};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::{Limit, Notes, Request, path};

/// One end of a connection. Both fields are `None` for a Unix socket, and where the server told no address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The IP address.
    pub address: Option<IpAddr>,
    /// The TCP port.
    pub port: Option<u16>,
}

/// The scheme that the client used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    #[default]
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// The scheme as `wsgi.url_scheme` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// What TLS settled for a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Secured {
    /// What environ says of it: key and value.
    pub environ: Vec<(&'static str, String)>,
    /// The header fields that a client cannot set here.
    pub dropped: Vec<HeaderName>,
    /// The header fields that the server sets in their place, on every request.
    pub fields: Vec<(HeaderName, HeaderValue)>,
}

impl Secured {
    /// Sets the fields that the server alone sets.
    pub fn dress(&self, headers: &mut HeaderMap) {
        for name in &self.dropped {
            headers.remove(name);
        }
        for (name, value) in &self.fields {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// The connection that a request came on: made once, shared by all of its requests.
#[derive(Default)]
pub struct Connection {
    /// The client's end.
    pub peer: Peer,
    /// The server's end.
    pub local: Peer,
    /// `http` or `https`.
    pub scheme: Scheme,
    /// What TLS settled, where it is spoken.
    pub secured: Option<Box<Secured>>,
    /// Whether the server lets a handler take it over; see [`Upgrade`](crate::Upgrade).
    pub can_upgrade: bool,
    /// Set by a handler that has nothing to do for a client that is gone, and so would rather be dropped: it waits for
    /// somebody else. The server then takes the end of what the client sends for the client's end.
    pub leaves_with_client: AtomicBool,
    /// What the server's owner gives to every handler of its requests: the inward door finds its permits here.
    pub shared: Option<Arc<dyn Any + Send + Sync>>,
    /// A place for whoever wants to keep something for the requests to come, once a connection: the inward door
    /// keeps its prepared environ here.
    pub kept: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("peer", &self.peer)
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

/// What a layer may tell the application through environ.
#[derive(Clone)]
pub enum Value {
    /// A `str`.
    Text(String),
    /// A `str`: the value of a header, as environ has those.
    Header(HeaderValue),
    /// A `bool`.
    Flag(bool),
    /// An `int`.
    Integer(i64),
    /// Something alive (a session, say) that the door knows how to show to Python.
    Live(Arc<dyn Any + Send + Sync>),
}

impl Value {
    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            Value::Header(value) => value.to_str().ok(),
            Value::Flag(_) | Value::Integer(_) | Value::Live(_) => None,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => text.fmt(formatter),
            Value::Header(value) => value.fmt(formatter),
            Value::Flag(flag) => flag.fmt(formatter),
            Value::Integer(integer) => integer.fmt(formatter),
            Value::Live(_) => formatter.write_str("(live)"),
        }
    }
}

/// The one entry in a request's extensions that every request of the house has.
#[derive(Clone, Debug)]
pub struct Context {
    /// The connection.
    pub connection: Arc<Connection>,
    /// The request target as the client sent it (`REQUEST_URI`).
    pub target: Bytes,
    /// Whether the query has bytes that a URI cannot hold: the request's URI has them percent-encoded then, and the
    /// query as the client sent it is what follows the first `?` of the target.
    pub query_is_encoded: bool,
    /// The part of the path that dispatchers above have used up, decoded (`SCRIPT_NAME`). The request's URI has
    /// the rest.
    pub script_name: Bytes,
    /// Whether dispatchers have used up all of the path: `PATH_INFO` is empty then. The URI says `/`, for its path
    /// can't be empty.
    pub path_is_empty: bool,
    /// What layers tell the application: environ key and value.
    pub told: Vec<(Cow<'static, str>, Value)>,
    /// Where somebody looks on: what is noted of this request.
    pub notes: Option<Arc<Notes>>,
    /// The application that a dispatcher has chosen, as logs call it.
    pub application: Option<Arc<str>>,
    /// The limits that a call into the application has to keep, the outermost first.
    pub limits: Vec<Arc<Limit>>,
}

impl Context {
    /// The context of a request that has just come in.
    pub fn new(connection: Arc<Connection>, target: Bytes) -> Self {
        Context {
            connection,
            target,
            query_is_encoded: false,
            script_name: Bytes::new(),
            path_is_empty: false,
            told: Vec::new(),
            notes: None,
            application: None,
            limits: Vec::new(),
        }
    }
}

impl Context {
    /// The query of the request for `uri`, as the client sent it: any bytes.
    pub fn query<'a>(&'a self, uri: &'a Uri) -> Option<&'a [u8]> {
        if self.query_is_encoded {
            let mark = memchr::memchr(b'?', &self.target)?;
            return Some(&self.target[mark + 1..]);
        }
        uri.query().map(str::as_bytes)
    }
}

/// That of a request that came on no connection, as tests make them.
impl Default for Context {
    fn default() -> Self {
        static NONE: LazyLock<Arc<Connection>> = LazyLock::new(Arc::default);
        Context::new(Arc::clone(&NONE), Bytes::new())
    }
}

/// Short ways to a request's [`Context`].
pub trait RequestExt {
    /// The context, if a server or a door made this request.
    fn context(&self) -> Option<&Context>;
    /// The context, made if there is none.
    fn context_mut(&mut self) -> &mut Context;
    /// The client's address as the server (or a trusted proxy's word) has it.
    fn peer(&self) -> Peer;
    /// The path below the mount point, percent-encoded as it came; empty right at it.
    fn path(&self) -> &str;
    /// The query as the client sent it, any bytes, where the URI has it in visible ASCII.
    fn query(&self) -> Option<&[u8]>;
    /// Moves the first `length` bytes of [`path`](Self::path) to the script name: what is left is the path below a
    /// further mount point. They must end before a `/`, which may be written `%2F`, or be all of it.
    fn mount_at(&mut self, length: usize);
    /// Whether the connection of this request can be taken over, by [`Upgrade`](crate::Upgrade).
    fn can_upgrade(&self) -> bool;
    /// Tells the application `value` under `key` of environ; the last word on a key stands.
    fn tell(&mut self, key: impl Into<Cow<'static, str>>, value: Value);
    /// The value that an outer layer has set for the application under `key` of environ.
    fn told(&self, key: &str) -> Option<&Value>;
}

impl RequestExt for Request {
    fn context(&self) -> Option<&Context> {
        self.extensions().get()
    }

    fn context_mut(&mut self) -> &mut Context {
        self.extensions_mut().get_or_insert_with(Context::default)
    }

    fn peer(&self) -> Peer {
        self.context().map(|context| context.connection.peer).unwrap_or_default()
    }

    fn path(&self) -> &str {
        let is_empty = self.context().is_some_and(|context| context.path_is_empty);
        if is_empty { "" } else { self.uri().path() }
    }

    fn query(&self) -> Option<&[u8]> {
        match self.context() {
            Some(context) => context.query(self.uri()),
            None => self.uri().query().map(str::as_bytes),
        }
    }

    fn mount_at(&mut self, length: usize) {
        if length == 0 {
            return;
        }
        let whole = path_and_query(self);
        let used = match path::decode(&self.path()[..length]) {
            Cow::Borrowed(_) => whole.slice(..length),
            Cow::Owned(decoded) => decoded.into(),
        };
        let rest = whole.slice(length..);
        let is_empty = matches!(*rest, [] | [b'?', ..]);
        let rest = match &*rest {
            [] => Bytes::from_static(b"/"),
            [b'/', ..] => rest,
            // The path of a URI can't begin with an encoded slash, nor be empty before a query.
            [b'%', b'2', b'f' | b'F', behind @ ..] | behind => [b"/", behind].concat().into(),
        };
        let below = PathAndQuery::from_maybe_shared(rest).expect("it begins with / and is a part of a URI");
        let mut parts = mem::take(self.uri_mut()).into_parts();
        *self.uri_mut() = if parts.authority.is_none() {
            below.into()
        } else {
            parts.path_and_query = Some(below);
            Uri::from_parts(parts).expect("only the path has changed")
        };
        let context = self.context_mut();
        context.script_name = match &*context.script_name {
            [] => used,
            above => [above, &used].concat().into(),
        };
        context.path_is_empty = is_empty;
    }

    fn can_upgrade(&self) -> bool {
        self.context().is_some_and(|context| context.connection.can_upgrade)
    }

    fn tell(&mut self, key: impl Into<Cow<'static, str>>, value: Value) {
        let (context, key) = (self.context_mut(), key.into());
        if let Some(notes) = &context.notes {
            notes.heed(&key, &value);
        }
        context.told.push((key, value));
    }

    fn told(&self, key: &str) -> Option<&Value> {
        self.context()?.told.iter().rev().find_map(|(told, value)| (told == key).then_some(value))
    }
}

/// The path and the query, percent-encoded as they came: a part of the target, unless a layer has changed them.
fn path_and_query(request: &Request) -> Bytes {
    let text = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    match request.context().map(|context| &context.target) {
        _ if text.starts_with('?') => ["/", text].concat().into(),
        Some(target) if target.ends_with(text.as_bytes()) => target.slice(target.len() - text.len()..),
        _ => Bytes::copy_from_slice(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    fn mounted(target: &str, length: usize) -> Request {
        let mut request = http::Request::builder().uri(target).body(Body::empty()).expect("a request");
        request.mount_at(length);
        request
    }

    #[test]
    fn what_is_moved_to_the_script_name_is_decoded_and_the_rest_stays_as_it_came() {
        let request = mounted("/caf%C3%A9/a%20b?x=%20", "/caf%C3%A9".len());

        assert_eq!(&*request.context().expect("made").script_name, "/caf\u{e9}".as_bytes());
        assert_eq!((request.path(), request.uri().query()), ("/a%20b", Some("x=%20")));
    }

    #[test]
    fn right_at_the_mount_point_the_path_is_empty() {
        let request = mounted("/blog?x=1", 5);

        assert_eq!((request.path(), request.uri()), ("", &Uri::from_static("/?x=1")));
    }

    #[test]
    fn a_query_right_after_the_host_has_a_path_too() {
        let request = mounted("http://h?x=1", 1);

        assert_eq!((request.path(), request.uri()), ("", &Uri::from_static("http://h/?x=1")));
    }

    #[test]
    fn nothing_is_copied_of_a_target_that_came_in() {
        let target = Bytes::from_static(b"/blog/a?x=1");
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_maybe_shared(target.clone()).expect("a path");
        request.context_mut().target = target.clone();

        request.mount_at(5);

        assert_eq!(request.uri(), &Uri::from_static("/a?x=1"));
        assert_eq!(request.uri().path().as_ptr(), target[5..].as_ptr());
        assert_eq!(request.context().expect("made").script_name.as_ptr(), target.as_ptr());
    }

    #[test]
    fn the_slash_below_a_mount_point_may_be_encoded() {
        for (target, path) in
            [("/files%2Freport", "/report"), ("/files%2freport%2F", "/report%2F"), ("/files%2F", "/")]
        {
            let request = mounted(&format!("{target}?x=%2F"), "/files".len());

            assert_eq!(&*request.context().expect("made").script_name, b"/files");
            assert_eq!((request.path(), request.uri().query()), (path, Some("x=%2F")));
            assert!(!request.context().expect("made").path_is_empty);
        }
    }

    #[test]
    fn a_query_that_no_uri_can_hold_is_the_targets_also_below_a_mount_point() {
        let mut request = http::Request::builder().uri("/a/b?q=%22").body(Body::empty()).expect("a request");
        assert_eq!(request.query(), Some(&b"q=%22"[..]));
        let context = request.context_mut();
        (context.target, context.query_is_encoded) = (Bytes::from_static(b"/a/b?q=\""), true);

        request.mount_at(2);

        assert_eq!((request.uri(), request.query()), (&Uri::from_static("/b?q=%22"), Some(&b"q=\""[..])));
        assert_eq!(mounted("/a/b", 2).query(), None);
    }

    #[test]
    fn mount_points_add_up_and_nothing_moved_changes_nothing() {
        let mut request = mounted("http://h/a/b/c", 2);
        request.mount_at(2);
        request.mount_at(0);

        assert_eq!(&*request.context().expect("made").script_name, b"/a/b");
        assert_eq!(request.uri(), &Uri::from_static("http://h/c"));
    }
}
