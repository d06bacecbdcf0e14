//! Complete requests through every layer: from the bytes that a client sends to those that it gets.
//!
//! The fuzz target `whole` and the property test `crates/layers/tests/whole_requests.rs` share it. Promises, for
//! whatever a client sends: nothing panics, every request that the parser accepts is answered with a head that can be
//! sent, and what `Proxy` and `Balance` pass on is one request to the strict parser of the server behind them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use bytes::{Bytes, BytesMut};
use http1::{BodyDecoder, Decoded, HeadParser, Limits, RequestHead, ResponseHead, encode_head};
use layers::xslt::engine::{Document, Engine, Fetch, Transformation, Transformed, provide};
use onion::{
    Answer, Body, Connection, Context, Handler, NotFound, Peer, Request, RequestExt, Response, Supply,
    wrap_when,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// Every layer, one inside the other or side by side.
pub(crate) struct Whole {
    onion: Arc<dyn Handler>,
    connection: Arc<Connection>,
    runtime: Runtime,
    folder: PathBuf,
}

impl Whole {
    pub(crate) fn new() -> Self {
        provide(Identity);
        let folder = std::env::temp_dir().join(format!("onionskin-whole-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("folder")).expect("a temporary folder");
        std::fs::write(folder.join("report"), "a report").expect("a file");
        std::fs::write(folder.join("folder/index.html"), "<p>an index</p>").expect("a file");
        std::fs::write(folder.join("sheet.xsl"), "<xsl:stylesheet/>").expect("a file");
        let upstream = format!("http://127.0.0.1:{}", upstream());
        let peer = Peer { address: Some([127, 0, 0, 1].into()), port: Some(40_000) };
        let connection = Arc::new(Connection { peer, local: peer, ..Connection::default() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let onion = runtime.block_on(async { onion(&folder, &upstream) });
        Whole { onion, connection, runtime, folder }
    }

    /// Sends these bytes, and gives the statuses of the responses.
    pub(crate) fn send(&self, sent: &[u8]) -> Vec<u16> {
        let mut statuses = Vec::new();
        let mut parser = HeadParser::new(Limits::default());
        let mut buffer = BytesMut::from(sent);
        while let Ok(Some(head)) = parser.parse(&mut buffer) {
            let Some(body) = body(&head, &mut buffer) else { break };
            let (method, version, keep_alive) = (head.method.clone(), head.version, head.keep_alive);
            let mut response = self.runtime.block_on(self.onion.call(self.request(head, body)));
            let length = response.body().length();
            let mut out = Vec::new();
            let head = ResponseHead {
                status: response.status(),
                reason: None,
                headers: response.headers(),
                body_length: length,
                request_method: &method,
                request_version: version,
                keep_alive,
                date: b"Sun, 06 Nov 1994 08:49:37 GMT",
                server: None,
                upgrade: None,
            };
            encode_head(&mut out, &head).expect("a head that can be sent");
            assert_one_head(&out);
            let body = std::mem::take(response.body_mut());
            // One that breaks off is the application's or the upstream's to answer for.
            let _ = self.runtime.block_on(body.into_bytes(1 << 20));
            statuses.push(response.status().as_u16());
        }
        assert_eq!(
            REFUSED_UPSTREAM.load(SeqCst),
            0,
            "Proxy passed on what is not one request: {}",
            sent.escape_ascii()
        );
        statuses
    }

    /// As the server makes it.
    fn request(&self, head: RequestHead, body: Bytes) -> Request {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = head.method;
        *request.uri_mut() = head.uri;
        *request.version_mut() = head.version;
        *request.headers_mut() = head.headers;
        let context = Context::new(Arc::clone(&self.connection), head.target);
        request.extensions_mut().insert(Context { query_is_encoded: head.query_is_encoded, ..context });
        request
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        // What is left of it is in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The body; `None` if it is refused or incomplete.
fn body(head: &RequestHead, buffer: &mut BytesMut) -> Option<Bytes> {
    let mut decoder = BodyDecoder::new(head.framing);
    let mut body = Vec::new();
    loop {
        match decoder.decode(buffer) {
            Ok(Decoded::Data(block)) => body.extend_from_slice(&block),
            Ok(Decoded::End) => return Some(body.into()),
            Ok(Decoded::NeedMore) | Err(_) => return None,
        }
    }
}

/// A head is lines that end with CRLF, without another control character than a tab, and ends with an empty one.
fn assert_one_head(head: &[u8]) {
    let lines = head.strip_suffix(b"\r\n\r\n").expect("it has an end");
    let shown = head.escape_ascii();
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.is_empty() && line.iter().all(|byte| *byte >= b' ' || *byte == b'\t'), "{shown}");
    }
}

/// What the upstream refused, or took for more than one request.
static REFUSED_UPSTREAM: AtomicU64 = AtomicU64::new(0);

/// A server on a free port of this machine that answers each request.
fn upstream() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    port
}

fn serve(mut stream: TcpStream) {
    let limits = Limits { request_line: 200_000, head: 400_000, headers: 200 };
    let (mut parser, mut buffer) = (HeadParser::new(limits), BytesMut::new());
    let mut decoder: Option<BodyDecoder> = None;
    loop {
        let rejected = match &mut decoder {
            None => match parser.parse(&mut buffer) {
                Ok(Some(head)) => {
                    decoder = Some(BodyDecoder::new(head.framing));
                    continue;
                }
                Ok(None) => false,
                Err(_) => true,
            },
            Some(body) => match body.decode(&mut buffer) {
                Ok(Decoded::Data(_)) => continue,
                Ok(Decoded::NeedMore) => false,
                Ok(Decoded::End) => {
                    let answer = b"HTTP/1.1 200 OK\r\nLocation: /x\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n";
                    decoder = None;
                    // It waits for its answer, so what it has sent by now would be another request.
                    if !buffer.is_empty() || stream.write_all(answer).is_err() {
                        REFUSED_UPSTREAM.fetch_add(u64::from(!buffer.is_empty()), SeqCst);
                        return;
                    }
                    continue;
                }
                Err(_) => true,
            },
        };
        let mut block = [0; 4096];
        match stream.read(&mut block) {
            _ if rejected => {
                REFUSED_UPSTREAM.fetch_add(1, SeqCst);
                return;
            }
            Ok(count @ 1..) => buffer.extend_from_slice(&block[..count]),
            _ => return,
        }
    }
}

fn onion(folder: &Path, upstream: &str) -> Arc<dyn Handler> {
    let at = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let xslt = json!({"sheet": at("sheet.xsl"), "types": ["text/html", "text/xml"], "directory": at("")});
    let site = build("xslt", &xslt, Arc::new(Site));
    let stands_alone: [(&str, Arc<dyn Handler>); 5] = [
        ("/files", build("static_files", &json!({"root": at("")}), Arc::new(NotFound))),
        ("/static", build("static_files", &json!({"root": at(""), "prefix": "/p"}), Arc::new(NotFound))),
        ("/proxy", build("proxy", &json!({"target": upstream}), Arc::new(NotFound))),
        (
            "/kept",
            build(
                "proxy",
                &json!({"target": format!("{upstream}/base"), "keep_prefix": true, "host": "client"}),
                Arc::new(NotFound),
            ),
        ),
        (
            "/balance",
            build("balance", &json!({"targets": [upstream], "sticky": "cookie"}), Arc::new(NotFound)),
        ),
    ];
    let mut supply = Supply::default();
    let mut routes = serde_json::Map::new();
    for (route, handler) in stands_alone {
        routes.insert(route.to_owned(), supply.put(handler, route));
    }
    for route in ["/a/b", "*.example.org", "a.example:8000/x", "POST,PUT /up", "/caf\u{e9}"] {
        routes.insert(route.to_owned(), supply.put(Arc::clone(&site), route));
    }
    let default = supply.put(Arc::clone(&site), "site");
    let mounted = json!({"routes": routes, "default": default});
    let redirecting =
        json!({"routes": {"/deep": supply_site(&mut supply, &site)}, "slash": "redirect", "strip": false});
    let (mounted, redirecting) = supply.at_hand(|| (built("mount", &mounted), built("mount", &redirecting)));
    let mut onion = wrap_when(mounted.layer, mounted.when, Arc::new(NotFound));
    onion = wrap_when(redirecting.layer, redirecting.when, onion);
    let secret = "kP2vN8xQ4mT7wR1zL5cB9hF3jD6gS0yA";
    for (name, options) in [
        ("session", json!({"secret": secret, "secure": false})),
        (
            "allow_addresses",
            json!({"allowed_addresses": ["127.0.0.1"], "match": {"path": "/files/**", "host": "*.org"}}),
        ),
        ("compress", json!({"min_size": 1})),
        ("errors", json!({})),
        ("headers", json!({"request": {"set": {"X-A": "b"}}, "response": {"append": {"Vary": "X"}}})),
        ("request_id", json!({})),
    ] {
        onion = build(name, &options, onion);
    }
    onion
}

fn supply_site(supply: &mut Supply, site: &Arc<dyn Handler>) -> Value {
    supply.put(Arc::clone(site), "deep")
}

fn built(name: &str, options: &Value) -> layers::Built {
    let declaration = layers::declaration(name).expect("there is such a layer");
    layers::build(declaration, options.as_object().cloned().expect("a table")).expect("good options")
}

fn build(name: &str, options: &Value, inside: Arc<dyn Handler>) -> Arc<dyn Handler> {
    let built = built(name, options);
    wrap_when(built.layer, built.when, inside)
}

/// An application that looks at everything, and shows it.
struct Site;

impl Handler for Site {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            let shown = format!(
                "{} {} {:?} {:?}",
                request.method(),
                request.path(),
                request.query().map(<[u8]>::escape_ascii).map(|query| query.to_string()),
                onion::Host::of(&request),
            );
            let mut response = Response::new(Body::from(shown.repeat(20)));
            let types = ["text/html", "text/xml", "text/plain", "application/octet-stream"];
            let media_type = types[shown.len() % types.len()];
            response.headers_mut().insert("content-type", http::HeaderValue::from_static(media_type));
            let statuses = [200, 200, 404, 500, 304, 204];
            let status = statuses[request.path().len() % statuses.len()];
            *response.status_mut() = http::StatusCode::from_u16(status).expect("it is one");
            response
        })
    }
}

/// Makes of a document what it is.
struct Identity;

impl Engine for Identity {
    fn compile(&self, _: &[PathBuf], _: Option<&Path>) -> Result<Arc<dyn Transformation>, String> {
        Ok(Arc::new(Identity))
    }

    fn compile_fetched(&self, _: &str, _: &Arc<dyn Fetch>) -> Result<Arc<dyn Transformation>, String> {
        Ok(Arc::new(Identity))
    }
}

impl Transformation for Identity {
    fn files(&self) -> &[PathBuf] {
        &[]
    }

    fn media_type(&self) -> Option<&str> {
        None
    }

    fn apply(&self, document: &Document, _: Option<&Arc<dyn Fetch>>) -> Result<Option<Transformed>, String> {
        let bytes = document.bytes.clone();
        Ok(Some(Transformed { bytes, media_type: "text/html".to_owned(), charset: "utf-8".to_owned() }))
    }
}
