//! The head of a request as a target gets it: without what belongs to the client's connection, with what tells of the
//! client.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderName, MAX_FORWARDS, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use onion::{Context, OptionError, Peer, Scheme, path};

use super::failure::Failure;
use super::options::{Forward, Forwarding};
use super::rewrite::Prefixes;
use super::target::Target;

/// Makes the heads of requests.
pub(crate) struct RequestHeads {
    host: Host,
    strip_prefix: String,
    keep_prefix: bool,
    forward: Forward,
    trust_forwarded: bool,
    websocket: bool,
}

enum Host {
    Target,
    Client,
    Name(HeaderValue),
}

impl RequestHeads {
    pub(crate) fn new(options: &Forwarding) -> Result<Self, OptionError> {
        let host = match &*options.host {
            "target" => Host::Target,
            "client" => Host::Client,
            name => Host::Name(host_name(name)?),
        };
        let strip_prefix = options.strip_prefix.trim_end_matches('/').to_owned();
        if !(strip_prefix.is_empty() || strip_prefix.starts_with('/')) {
            let message =
                format!("strip_prefix: {strip_prefix:?} does not begin with a slash; give /{strip_prefix}");
            return Err(OptionError(message));
        }
        Ok(RequestHeads {
            host,
            strip_prefix,
            keep_prefix: options.keep_prefix,
            forward: options.forward,
            trust_forwarded: options.trust_forwarded,
            websocket: options.websocket,
        })
    }

    /// The head for `target`, with a body of `length`.
    pub(crate) fn of(
        &self,
        parts: &Parts,
        target: &Target,
        length: Option<u64>,
    ) -> Result<(Uri, HeaderMap), Failure> {
        let mut headers = onion::reuse::headers();
        headers.reserve(parts.headers.len() + OURS_MOST);
        let named = Named::of(&parts.headers).ok_or(Failure::TooManyOptions)?;
        for (name, value) in &parts.headers {
            if !is_hop_by_hop(name) && !named.has(name) && !self.is_replaced(name) {
                headers.append(name, value.clone());
            }
        }
        headers.insert(HOST, self.host(parts, target).clone());
        let expects_body = [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method);
        match length {
            Some(0) if !expects_body => headers.remove(CONTENT_LENGTH),
            Some(length) => headers.insert(CONTENT_LENGTH, length.into()),
            None => headers.remove(CONTENT_LENGTH),
        };
        if let Some(left) = max_forwards(&parts.method, &parts.headers) {
            headers.insert(MAX_FORWARDS, left.saturating_sub(1).into());
        }
        if let Some(upgrade) = self.upgrade(parts) {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, upgrade.clone());
        }
        self.tell_of_client(&mut headers, parts);
        headers.append(VIA, via(parts.version));
        Ok((self.uri(parts, target)?, headers))
    }

    /// The Host that `target` is sent.
    pub(crate) fn host<'a>(&'a self, parts: &'a Parts, target: &'a Target) -> &'a HeaderValue {
        match &self.host {
            Host::Target => &target.authority,
            Host::Client => parts.headers.get(HOST).unwrap_or(&target.authority),
            Host::Name(name) => name,
        }
    }

    /// Whether WebSocket connections are passed on.
    pub(crate) fn passes_websockets(&self) -> bool {
        self.websocket
    }

    /// The protocol that the request wants to go over to, if that is passed on.
    pub(crate) fn upgrade<'a>(&self, parts: &'a Parts) -> Option<&'a HeaderValue> {
        let upgrade = parts.headers.get(UPGRADE)?;
        (self.websocket && upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")).then_some(upgrade)
    }

    /// What the paths of a response are rewritten to.
    pub(crate) fn prefixes(&self, parts: &Parts) -> Prefixes {
        let own = self.public_prefix(parts);
        let forwarded =
            if self.forwards_prefix() { self.forwarded_prefix(parts, &own) } else { String::new() };
        Prefixes { own, forwarded }
    }

    /// Whether targets are sent the prefix of the client's paths.
    fn forwards_prefix(&self) -> bool {
        matches!(self.forward, Forward::Both | Forward::XForwarded)
    }

    /// The value of `X-Forwarded-Prefix`: `own`, after the prefix of a trusted proxy in front.
    fn forwarded_prefix(&self, parts: &Parts, own: &str) -> String {
        let outer = if self.trust_forwarded { parts.headers.get(&X_FORWARDED_PREFIX) } else { None };
        match outer.and_then(|outer| outer.to_str().ok()) {
            Some(outer) => format!("{}{own}", outer.trim_end_matches('/')),
            None => own.to_owned(),
        }
    }

    /// What the client's paths have, and those of the target's own path don't have, in front.
    fn public_prefix(&self, parts: &Parts) -> String {
        let mut prefix = String::new();
        if !self.keep_prefix {
            prefix.push_str(&mount_point(parts));
        }
        if self.stripped(parts.uri.path()).is_some() {
            prefix.push_str(&self.strip_prefix);
        }
        prefix
    }

    /// The path without the prefix that is to be taken off, if it has it.
    fn stripped<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&*self.strip_prefix)?;
        (!self.strip_prefix.is_empty() && (rest.is_empty() || rest.starts_with('/'))).then_some(rest)
    }

    fn uri(&self, parts: &Parts, target: &Target) -> Result<Uri, Failure> {
        let at_mount_point = parts.extensions.get::<Context>().is_some_and(|context| context.path_is_empty);
        let path = if at_mount_point { "" } else { parts.uri.path() };
        let rest = self.stripped(path).unwrap_or(path);
        let mount = if self.keep_prefix { mount_point(parts) } else { String::new() };
        if let (true, Some(same)) = (
            target.base.is_empty() && mount.is_empty() && rest.len() == path.len(),
            parts.uri.path_and_query(),
        ) {
            return Ok(Uri::from(same.clone()));
        }
        let mut text = format!("{}{mount}{}", target.base, if rest == "*" { "" } else { rest });
        if text.is_empty() {
            text.push('/');
        }
        if let Some(query) = parts.uri.query() {
            text.push('?');
            text.push_str(query);
        }
        let target = PathAndQuery::from_maybe_shared(Bytes::from(text));
        target.map(Uri::from).map_err(|_| Failure::TooLong)
    }

    /// Whether a header that came with the request is left out, because it would tell of the client.
    fn is_replaced(&self, name: &HeaderName) -> bool {
        !self.trust_forwarded && tells_of_client(name)
    }

    fn tell_of_client(&self, headers: &mut HeaderMap, parts: &Parts) {
        let default = onion::Connection::default();
        let context = parts.extensions.get::<Context>();
        let connection = context.map_or(&default, |context| &*context.connection);
        let host = parts.headers.get(HOST).filter(|host| is_plain(host.as_bytes()));
        let address = connection.peer.address.map(written);
        if self.forwards_prefix() {
            if let Some(address) = &address {
                append_to_list(headers, &X_FORWARDED_FOR, address);
            }
            let prefix = self.public_prefix(parts);
            let prefix = self.forwarded_prefix(parts, &prefix);
            if !prefix.is_empty()
                && let Ok(prefix) = HeaderValue::try_from(prefix)
            {
                headers.insert(&X_FORWARDED_PREFIX, prefix);
            }
            let port = port(host, connection.scheme);
            let told = [
                (&X_FORWARDED_HOST, host.cloned()),
                (&X_FORWARDED_PROTO, Some(HeaderValue::from_static(connection.scheme.as_str()))),
                (&X_FORWARDED_PORT, host.map(|_| HeaderValue::from(port))),
            ];
            for (name, value) in told {
                if let Some(value) = value {
                    headers.entry(name).or_insert(value);
                }
            }
        }
        if matches!(self.forward, Forward::Both | Forward::Forwarded) {
            let element = forwarded(connection.peer, address.as_deref(), connection.scheme, host);
            append_to_list(headers, &FORWARDED, &element);
        }
    }
}

/// How often the request has passed a server of this kind; more than a few times is a loop.
pub(crate) fn is_loop(headers: &HeaderMap) -> bool {
    let vias = headers.get_all(VIA).iter().filter_map(|via| via.to_str().ok());
    let passed = vias.flat_map(|via| via.split(',')).filter(|via| {
        via.split_ascii_whitespace().nth(1).is_some_and(|by| by.eq_ignore_ascii_case(PSEUDONYM))
    });
    passed.count() >= PASSES_MOST
}

/// Whether the path would leave the place that it is meant for.
pub(crate) fn climbs(path: &str) -> bool {
    let suspicious = path.contains("..") || path.contains('%') || path.contains('\\');
    suspicious && path::decode(path).split(|byte| *byte == b'/' || *byte == b'\\').any(|part| part == b"..")
}

/// This proxy's line in `Via` (RFC 9110 section 7.6.3).
pub(crate) fn via(received: Version) -> HeaderValue {
    HeaderValue::from_static(match received {
        Version::HTTP_09 | Version::HTTP_10 => "1.0 onionskin",
        Version::HTTP_2 => "2 onionskin",
        _ => "1.1 onionskin",
    })
}

/// The most options of a message's Connection fields.
const OPTIONS_MOST: usize = 32;

/// The names that a Connection header calls hop-by-hop.
pub(crate) struct Named<'a>(Vec<&'a str>);

impl<'a> Named<'a> {
    /// `None` if there are more than anybody needs: every field of the message is compared with all of them.
    pub(crate) fn of(headers: &'a HeaderMap) -> Option<Self> {
        let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        let options = values.flat_map(|value| value.split(',')).map(str::trim);
        let options = options.filter(|option| !option.is_empty());
        let named = options.take(OPTIONS_MOST + 1).collect::<Vec<_>>();
        (named.len() <= OPTIONS_MOST).then_some(Named(named))
    }

    pub(crate) fn has(&self, name: &HeaderName) -> bool {
        self.0.iter().any(|named| named.eq_ignore_ascii_case(name.as_str()))
    }
}

/// Whether a field belongs to one connection (RFC 9110 section 7.6.1), or is dangerous to pass on.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    *name == CONNECTION
        || *name == TE
        || *name == TRAILER
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || *name == EXPECT
        || *name == PROXY_AUTHORIZATION
        || matches!(
            name.as_str(),
            "keep-alive"
                | "proxy-connection"
                | "proxy-authenticate"
                | "proxy-authentication-info"
                | "http2-settings"
                | "proxy"
        )
}

/// Whether a field is one of those by which proxies tell of the client, in any spelling that a CGI-like environment
/// would take for it.
fn tells_of_client(name: &HeaderName) -> bool {
    let name = name.as_str();
    let bytes = name.as_bytes();
    match bytes.first() {
        Some(b'f') => name == "forwarded",
        Some(b'x') if bytes.len() >= 11 => {
            let is = |from: usize, word: &[u8]| {
                bytes.get(from..).is_some_and(|rest| rest.len() >= word.len() && rest[..word.len()] == *word)
            };
            matches!(bytes[1], b'-' | b'_')
                && is(2, b"forwarded")
                && bytes.get(11).is_none_or(|byte| matches!(byte, b'-' | b'_'))
        }
        _ => false,
    }
}

/// How many servers the request may still pass (RFC 9110 section 7.6.2).
pub(crate) fn max_forwards(method: &Method, headers: &HeaderMap) -> Option<u32> {
    let is_bounded = *method == Method::OPTIONS || *method == Method::TRACE;
    headers.get(MAX_FORWARDS).filter(|_| is_bounded)?.to_str().ok()?.parse().ok()
}

/// The path of the mount point, as it stands in a request target.
fn mount_point(parts: &Parts) -> String {
    let context = parts.extensions.get::<Context>();
    context.map_or_else(String::new, |context| path::encode(&context.script_name).into_owned())
}

/// Adds `member` at the end of the list that a header has.
fn append_to_list(headers: &mut HeaderMap, name: &HeaderName, member: &str) {
    let mut list = Vec::new();
    for value in headers.get_all(name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(member.as_bytes());
    if let Ok(value) = HeaderValue::try_from(list) {
        headers.insert(name, value);
    }
}

/// One element of `Forwarded` (RFC 7239 section 4).
fn forwarded(peer: Peer, address: Option<&str>, scheme: Scheme, host: Option<&HeaderValue>) -> String {
    let mut element = String::with_capacity(ELEMENT_USUALLY);
    let (before, after) =
        if peer.address.is_some_and(|address| address.is_ipv6()) { ("\"[", "]\"") } else { ("", "") };
    for part in ["for=", before, address.unwrap_or("unknown"), after] {
        element.push_str(part);
    }
    if let Some(host) = host.and_then(|host| host.to_str().ok()) {
        for part in [";host=\"", host, "\""] {
            element.push_str(part);
        }
    }
    element.push_str(";proto=");
    element.push_str(scheme.as_str());
    element
}

/// An address as text. By hand for what is common: the formatting machinery takes longer than all the rest of a head.
fn written(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else { return address.to_string() };
    let mut text = String::with_capacity("255.255.255.255".len());
    for octet in address.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
}

/// The port that the client connected to, going by the Host header.
fn port(host: Option<&HeaderValue>, scheme: Scheme) -> u16 {
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host
        .rsplit_once(':')
        .and_then(|(name, port)| (!name.contains(':') || name.ends_with(']')).then_some(port));
    port.and_then(|port| port.parse().ok()).unwrap_or(if scheme == Scheme::Https { 443 } else { 80 })
}

/// Whether a host may be written into a quoted string as it stands.
fn is_plain(host: &[u8]) -> bool {
    !host.is_empty()
        && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]%~!$&'()*+,;=".contains(byte))
}

fn host_name(name: &str) -> Result<HeaderValue, OptionError> {
    let refused = || OptionError(format!("host: {name:?} is no host; give target, client or a name"));
    let authority: http::uri::Authority = name.parse().map_err(|_| refused())?;
    if authority.as_str().contains('@') {
        return Err(refused());
    }
    HeaderValue::from_str(authority.as_str()).map_err(|_| refused())
}

/// So many fields are added to those that came, at most.
const OURS_MOST: usize = 9;

/// How long an element of `Forwarded` is, most often.
const ELEMENT_USUALLY: usize = 80;

/// What this proxy is called in `Via`.
const PSEUDONYM: &str = "onionskin";

/// A chain of proxies is legal, and several of them may be ours; but not that many.
const PASSES_MOST: usize = 8;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
static X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
