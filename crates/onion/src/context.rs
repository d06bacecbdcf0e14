//! What a request knows besides its head and body: the connection, the mount point, what layers tell the application.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::Request;

/// One end of a connection. Both fields are `None` for a Unix socket, and where the server told no address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The IP address.
    pub address: Option<IpAddr>,
    /// The TCP port.
    pub port: Option<u16>,
}

/// The scheme that the client used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// The connection that a request came on: made once, shared by all of its requests.
#[derive(Default)]
pub struct Connection {
    /// The client's end.
    pub peer: Peer,
    /// The server's end.
    pub local: Peer,
    /// `http` or `https`.
    pub scheme: Scheme,
    /// What the server's owner gives to every handler of its requests: the inward door finds its permits here.
    pub shared: Option<Arc<dyn Any + Send + Sync>>,
    /// A place for whoever wants to keep something for the requests to come, once a connection: the inward door
    /// keeps its prepared environ here.
    pub kept: OnceLock<Box<dyn Any + Send + Sync>>,
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
    /// A `bool`.
    Flag(bool),
    /// An `int`.
    Integer(i64),
    /// Something alive (a session, say) that the door knows how to show to Python.
    Live(Arc<dyn Any + Send + Sync>),
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => text.fmt(formatter),
            Value::Flag(flag) => flag.fmt(formatter),
            Value::Integer(integer) => integer.fmt(formatter),
            Value::Live(_) => formatter.write_str("(live)"),
        }
    }
}

/// The one entry in a request's extensions that every request of the house has.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The connection.
    pub connection: Arc<Connection>,
    /// The request target as the client sent it (`REQUEST_URI`).
    pub target: Bytes,
    /// The part of the path that dispatchers above have used up, decoded (`SCRIPT_NAME`). The request's URI has
    /// the rest.
    pub script_name: Bytes,
    /// What layers tell the application: environ key and value.
    pub told: Vec<(Cow<'static, str>, Value)>,
}

/// Short ways to a request's [`Context`].
pub trait RequestExt {
    /// The context, if a server or a door made this request.
    fn context(&self) -> Option<&Context>;
    /// The context, made if there is none.
    fn context_mut(&mut self) -> &mut Context;
    /// The client's address as the server (or a trusted proxy's word) has it.
    fn peer(&self) -> Peer;
    /// Tells the application `value` under `key` of environ; the last word on a key stands.
    fn tell(&mut self, key: impl Into<Cow<'static, str>>, value: Value);
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

    fn tell(&mut self, key: impl Into<Cow<'static, str>>, value: Value) {
        self.context_mut().told.push((key.into(), value));
    }
}
