//! The options that `Proxy` and `Balance` have in common: how a request goes to another server, and what is waited for.

use std::path::PathBuf;

use onion::{OptionError, Size, Span};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How requests are passed on.
#[expect(clippy::struct_excessive_bools, reason = "these are options, each of its own")]
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Forwarding {
    /// The `Host` that is sent: `target` (the target's own name), `client` (as it came), or a name.
    pub(crate) host: String,
    /// A prefix that is taken off the path before the request is sent, such as `/api`; paths without it pass as they
    /// are.
    pub(crate) strip_prefix: String,
    /// Whether the path of the mount point (`SCRIPT_NAME`) is sent too. If not, it is told in `X-Forwarded-Prefix`.
    pub(crate) keep_prefix: bool,
    /// Which headers tell of the client: `both`, `x-forwarded` (`X-Forwarded-For`, `-Host`, `-Proto`, `-Port`,
    /// `-Prefix`), `forwarded` (RFC 7239), or `none`.
    pub(crate) forward: Forward,
    /// Whether `Forwarded` and `X-Forwarded-*` headers that come with a request are kept and added to. If not, they
    /// are removed. Only for clients that are proxies of one's own.
    pub(crate) trust_forwarded: bool,
    /// Whether redirects and cookies that are meant for the target's address are rewritten for that of the client.
    pub(crate) rewrite: bool,
    /// Whether WebSocket connections are passed on, under onionskin's own server. If not, the request goes on without
    /// its wish to upgrade.
    pub(crate) websocket: bool,
    /// How long connecting may take, TLS included, until the answer is 504.
    pub(crate) connect_timeout: Span,
    /// How long the head of the response may take once the request is sent (and how long the target may pause while
    /// it takes the request), until the answer is 504.
    pub(crate) first_byte_timeout: Span,
    /// How long the target may pause within a response until it is broken off.
    pub(crate) read_timeout: Span,
    /// How long a request may take as a whole; nothing means without a bound.
    pub(crate) total_timeout: Option<Span>,
    /// How long a WebSocket connection may be silent until it is closed.
    pub(crate) websocket_timeout: Span,
    /// How many connections to a target are kept for further requests.
    pub(crate) pool: u16,
    /// How long such a connection is kept at most. It should be less than the target's own time.
    pub(crate) pool_timeout: Span,
    /// The largest request body; a larger one is answered 413. Nothing means that it is the server's business.
    pub(crate) max_body: Option<Size>,
    /// For `https`: a file with the certificates (PEM) of the authorities that are believed. Nothing means those of
    /// the system.
    pub(crate) ca_file: Option<PathBuf>,
    /// For `https`: whether the target's certificate is checked. Without that, anybody may be the target.
    pub(crate) verify: bool,
}

/// Which headers tell of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub(crate) enum Forward {
    Both,
    XForwarded,
    Forwarded,
    None,
}

impl Default for Forwarding {
    fn default() -> Self {
        Forwarding {
            host: "target".to_owned(),
            strip_prefix: String::new(),
            keep_prefix: false,
            forward: Forward::Both,
            trust_forwarded: false,
            rewrite: true,
            websocket: true,
            connect_timeout: Span::seconds(2),
            first_byte_timeout: Span::seconds(60),
            read_timeout: Span::seconds(60),
            total_timeout: None,
            websocket_timeout: Span::seconds(3600),
            pool: 32,
            pool_timeout: Span::seconds(15),
            max_body: None,
            ca_file: None,
            verify: true,
        }
    }
}

/// The schema of `own` options followed by the common ones.
pub(crate) fn schema(mut own: Schema) -> Schema {
    let common = onion::Declaration::schema_of::<Forwarding>();
    for part in ["properties", "$defs"] {
        let Some(Value::Object(added)) = common.get(part) else { continue };
        let entry = own.ensure_object().entry(part).or_insert_with(|| Map::new().into());
        if let Value::Object(properties) = entry {
            properties.extend(added.clone());
        }
    }
    own
}

/// Takes the common options out of `given`.
pub(crate) fn take(given: &mut Map<String, Value>) -> Result<Forwarding, OptionError> {
    let schema = onion::Declaration::schema_of::<Forwarding>();
    let common = schema.get("properties").and_then(Value::as_object);
    let names = common.into_iter().flat_map(Map::keys);
    let taken = names.filter_map(|name| given.remove_entry(name)).collect();
    onion::reading::read(taken)
}
