//! `Proxy`: passes requests on to another server, and its responses back.
//!
//! ```
//! let proxy = layers::declaration("proxy")?;
//! let options = [("target", "http://127.0.0.1:9000"), ("match.path", "/api/**"), ("host", "client")];
//! let built = layers::build(proxy, layers::from_text(proxy, options)?)?;
//! # Ok::<(), onion::OptionError>(())
//! ```
//!
//! Promises: both bodies stream, and each side goes at the pace of the slower one; what belongs to one connection does
//! not pass to another; a response that could be read in two ways does not pass at all, and one that breaks off never
//! looks whole; a request is never sent twice where that could do harm; a client that is gone takes its request along.
//!
//! It does not cache, and it does not decide who may ask: other layers do.

mod connect;
pub(crate) mod failure;
pub(crate) mod link;
pub(crate) mod options;
mod pool;
pub(crate) mod relay;
pub(crate) mod request_head;
mod response_head;
mod rewrite;
pub(crate) mod target;
mod tunnel;
mod upload;
pub(crate) mod upstream;
mod wire;

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::header::UPGRADE;
use http::request::Parts;
use http::{Method, StatusCode};
use onion::{
    Body, Context, Declaration, Layer, Next, OptionError, Phase, Request, RequestExt, Response, plain,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use failure::Of;
use link::Due;
use options::Forwarding;
use relay::Relay;
use request_head::RequestHeads;
use rewrite::Rewriter;
use target::Target;
use upstream::{Answer, Upstream};

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "proxy",
    class: "Proxy",
    summary: "Passes requests on to another server, and its responses back.",
    phase: Phase::Dispatch,
    positional: Some("target"),
    stands_alone: true,
    schema: || options::schema(Declaration::schema_of::<Options>()),
    build: |given| Ok(Arc::new(Proxy::new(given)?)),
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The server that requests are passed on to: `http://HOST:PORT`, `https://HOST` or `unix:PATH`, with a path of its
    /// own if need be (`http://HOST/PATH`, `unix:PATH:/PATH`).
    #[schemars(example = &"http://127.0.0.1:9000")]
    target: String,
}

struct Proxy {
    heads: Arc<RequestHeads>,
    upstream: Arc<Upstream>,
}

impl Proxy {
    fn new(mut given: Map<String, Value>) -> Result<Self, OptionError> {
        let forwarding = Arc::new(options::take(&mut given)?);
        let options: Options = onion::reading::read(given)?;
        let target = Target::parse(&options.target).map_err(|why| OptionError(format!("target: {why}")))?;
        let heads = Arc::new(RequestHeads::new(&forwarding)?);
        let upstream = Arc::new(Upstream::new(target, &forwarding, &heads)?);
        Ok(Proxy { heads, upstream })
    }
}

impl Layer for Proxy {
    fn call<'a>(&'a self, request: Request, _: Next<'a>) -> onion::Answer<'a> {
        if let Some(refusal) = refusal(&request, &self.heads, self.upstream.options()) {
            return onion::answer(refusal);
        }
        let (parts, body) = request.into_parts();
        leave_with_client(&parts);
        let mut body = Some(body);
        Box::pin(async move {
            let mut due = Due::new(self.upstream.options().total_timeout.map(|span| span.0));
            match self.upstream.exchange(&parts, &mut body, &mut due).await {
                Ok(answer) => {
                    let response = respond(answer, &self.upstream, &self.heads, &parts, due);
                    onion::reuse::give_back(parts.headers, parts.extensions);
                    response
                }
                Err(failure) => failure.answer(&Of::request(&parts), self.upstream.name()),
            }
        })
    }

    fn needs_runtime(&self) -> bool {
        true
    }
}

/// The answer to a request that is not passed on.
pub(crate) fn refusal(request: &Request, heads: &RequestHeads, options: &Forwarding) -> Option<Response> {
    let headers = request.headers();
    let refused = |status, text| Some(plain(status, text));
    if request_head::climbs(request.uri().path()) {
        return refused(StatusCode::BAD_REQUEST, "The path leads out of its place\n");
    }
    if *request.method() == Method::CONNECT {
        return refused(StatusCode::NOT_IMPLEMENTED, "CONNECT is not passed on\n");
    }
    if request_head::is_loop(headers) {
        return refused(StatusCode::LOOP_DETECTED, "Loop Detected\n");
    }
    if request_head::max_forwards(request.method(), headers) == Some(0) {
        return refused(StatusCode::NO_CONTENT, "");
    }
    if let (Some(limit), Some(length)) = (options.max_body, request.body().length())
        && length > limit.0
    {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "Content Too Large\n");
    }
    let wants_websocket =
        headers.get(UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if wants_websocket && heads.passes_websockets() && !request.can_upgrade() {
        return refused(
            StatusCode::NOT_IMPLEMENTED,
            "WebSocket connections can be passed on only by onionskin's own server: WSGI has no way for them\n",
        );
    }
    None
}

/// A client that is gone takes its request along.
pub(crate) fn leave_with_client(parts: &Parts) {
    if let Some(context) = parts.extensions.get::<Context>() {
        context.connection.leaves_with_client.store(true, Ordering::Relaxed);
    }
}

/// The response for the client.
pub(crate) fn respond(
    answer: Answer,
    upstream: &Arc<Upstream>,
    heads: &RequestHeads,
    parts: &Parts,
    due: Due,
) -> Response {
    let (mut head, incoming) = answer.response.into_parts();
    let target = upstream.target();
    let rewriter = (upstream.options().rewrite && Rewriter::has_work(&head.headers)).then(|| {
        let host = heads.host(parts, target).to_str().unwrap_or_default();
        Rewriter::new(target, host, heads.prefixes(parts))
    });
    let (mut headers, reason) = response_head::of(&head, &incoming, parts, rewriter.as_ref());
    let switched = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let mut response = if switched {
        if let Some(protocol) = head.headers.get(UPGRADE) {
            headers.insert(UPGRADE, protocol.clone());
        }
        let mut response = Response::new(Body::empty());
        let patience = upstream.options().websocket_timeout.0;
        response.extensions_mut().insert(tunnel::upgrade(answer.link, patience));
        response
    } else {
        let relay = Relay::new(incoming, answer.link, Arc::clone(upstream), Of::request(parts), due);
        let Some(body) = relay.into_body() else {
            return plain(StatusCode::BAD_GATEWAY, "Bad Gateway\n");
        };
        Response::new(body)
    };
    *response.status_mut() = head.status;
    *response.headers_mut() = headers;
    // It is the one that the request's head was made in: hyper parses into what it has written.
    onion::reuse::give_headers(mem::take(&mut head.headers));
    if let Some(reason) = reason {
        response.extensions_mut().insert(reason);
    }
    response
}
