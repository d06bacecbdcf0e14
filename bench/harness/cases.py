"""The cases: which request goes to which application, what the answer must be, and who is compared."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.servers import FAST, FAST_NODELAY, FLOORS, HTTP2, HTTP2_TLS, RSA, SLOW, THREADS64, TLS, WORKERS2

HELLO = b"Hello, World!"
ONE_KILOBYTE = b"z" * 1_024
STATIC_FILES = {"10k.bin": b"s" * 10_240, "1m.bin": b"s" * 1_048_576}
BROWSER_HEADERS = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Cookie": "sessionid=7f3b1f0c9a2e4d5b8c6a7e8f9d0b1c2a; csrftoken=Zk3o9yq1Xw7vB5nM2sD8fG4hJ6kL0pQe",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "X-Forwarded-For": "203.0.113.9",
}


@dataclass(frozen=True)
class Case:
    """One request, repeated."""

    title: str
    servers: tuple[str, ...]
    app: str = "apps:hello"
    path: str = "/"
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    status: int = 200
    answer: bytes | None = HELLO
    """The expected body; None where each server words it in its own way."""
    rival: str = "granian"
    """The server that ratios are quoted to, besides the best C server."""
    behind: bool = False
    """Whether there is a server behind, which requests are passed on to."""
    secured: bool = False
    """Whether TLS is spoken."""
    load: str = "wrk"
    """What makes the load, of `load.py`."""
    pinned: bool = True
    """False where server and load share all cores."""
    under_load: bool = True
    """False for the memory of an idle server, which no load generator touches."""
    apps: dict[str, str] = field(default_factory=dict)
    """Those of the servers that have another application than the rest."""

    def app_of(self, server: str) -> str:
        return self.apps.get(server, self.app)


def static(title: str, name: str) -> Case:
    """A file: StaticFiles, nginx with sendfile, granian's own mount, and WhiteNoise under two servers."""
    return Case(
        title,
        ("onionskin", "nginx", "granian-static", "granian", "gunicorn-gthread64"),
        path=f"/static/{name}",
        answer=STATIC_FILES[name],
        rival="nginx",
        apps={
            "onionskin": "static_native:app",
            "granian": "static_whitenoise:app",
            "gunicorn-gthread64": "static_whitenoise:app",
        },
    )


CASES: dict[str, Case] = {
    "hello": Case("13 bytes, keep-alive", (*FLOORS, *FAST, *SLOW)),
    "hello_headers": Case("13 bytes, ten browser headers in the request", FAST, headers=BROWSER_HEADERS),
    "hello10k": Case("10 KB in one piece", FAST, app="apps:hello10k", answer=b"x" * 10_240),
    "echo": Case(
        "POST of 1 KB, read and sent back",
        FAST,
        "apps:echo",
        method="POST",
        body=ONE_KILOBYTE,
        answer=ONE_KILOBYTE,
    ),
    "stream": Case("100 chunks of 1 KB, no length", FAST_NODELAY, "apps:stream", answer=b"y" * 102_400),
    "stream_length": Case(
        "100 chunks of 1 KB, with a length", FAST_NODELAY, "apps:stream_length", answer=b"y" * 102_400
    ),
    "flask": Case("the smallest Flask application", (*FAST, *SLOW), "flask_hello:app"),
    "django": Case("the smallest Django application", (*FAST, *SLOW), "django_hello:app"),
    "layers5": Case("five Python middlewares around hello", FAST, "layers5:app", path="/api/items"),
    "layers5_native": Case(
        "five layers of ours around hello, five Python middlewares, and none",
        ("onionskin", "onionskin+python", "onionskin+none"),
        "layers5_native:app",
        path="/api/items",
        rival="onionskin+python",
        apps={"onionskin+python": "layers5:app", "onionskin+none": "apps:hello"},
    ),
    "mount": Case(
        "hello behind a Mount of 3 routes, of 3,000, and of none",
        ("onionskin", "onionskin+many", "onionskin+none"),
        "mounts:three",
        path="/api/items",
        rival="onionskin+none",
        apps={"onionskin+many": "mounts:many", "onionskin+none": "apps:hello"},
    ),
    "compress": Case(
        "10 KB of JSON in zstd by Compress, and as it is",
        ("onionskin", "onionskin+none"),
        "compressed:json_compressed",
        headers={"Accept-Encoding": "zstd"},
        answer=None,
        rival="onionskin+none",
        apps={"onionskin+none": "compressed:plain_json"},
    ),
    "compress_html": Case(
        "100 KB of HTML in gzip by Compress, and as it is",
        ("onionskin", "onionskin+none"),
        "compressed:html_compressed",
        headers={"Accept-Encoding": "gzip"},
        answer=None,
        rival="onionskin+none",
        apps={"onionskin+none": "compressed:plain_html"},
    ),
    "deny": Case(
        "403 without Python: AllowAddresses, nginx `deny all`",
        ("onionskin", "nginx"),
        "guarded_native:deny",
        path="/deny",
        status=403,
        answer=None,
        rival="nginx",
    ),
    "deny_python": Case(
        "403 from a Python middleware", FAST, "guarded:deny", status=403, answer=b"403 Forbidden"
    ),
    "session": Case(
        "a new session with a counter in a cookie: by Session, by Flask's session, by Beaker, and none",
        ("onionskin", "onionskin+flask", "onionskin+beaker", "onionskin+none"),
        "sessions:ours",
        rival="onionskin+flask",
        apps={
            "onionskin+flask": "sessions:flask",
            "onionskin+beaker": "sessions:beaker",
            "onionskin+none": "apps:hello",
        },
    ),
    "static10k": static("10 KB from a file", "10k.bin"),
    "static1m": static("1 MB from a file", "1m.bin"),
    "proxy": Case(
        "13 bytes from a server behind: Proxy, nginx `proxy_pass`",
        ("onionskin", "nginx"),
        "passed_on:proxy",
        path="/behind/",
        rival="nginx",
        behind=True,
    ),
    "xslt": Case(
        "10 KB of HTML under a theme: by Xslt, by Diazo's middleware, and as it is",
        ("onionskin", "onionskin+diazo", "onionskin+none"),
        "themed:ours",
        answer=None,
        rival="onionskin+diazo",
        apps={"onionskin+diazo": "themed:diazo", "onionskin+none": "themed:plain"},
    ),
    "threads64": Case("hello with 64 threads", ("onionskin", *THREADS64), rival="granian-bt64"),
    "slow10": Case(
        "an application that sleeps 10 ms, 64 threads", THREADS64, "apps:slow10", rival="granian-bt64"
    ),
    "workers2": Case(
        "hello from two workers, with all cores for servers and load",
        WORKERS2,
        rival="granian-w2",
        pinned=False,
    ),
    "http2": Case("13 bytes by HTTP/2, without TLS", HTTP2, load="h2load", rival="granian-h2"),
    "http2_tls": Case(
        "13 bytes by HTTP/2 over TLS", HTTP2_TLS, load="h2load", secured=True, rival="granian-h2-tls"
    ),
    "tls": Case("13 bytes over TLS, keep-alive", TLS, secured=True, rival="granian-tls"),
    "tls_handshake": Case(
        "a TLS handshake, in full", TLS, load="handshakes", secured=True, answer=None, rival="nginx-tls"
    ),
    "tls_handshake_rsa": Case(
        "the same with an RSA key", RSA, load="handshakes", secured=True, answer=None, rival="nginx-rsa"
    ),
    # Not nginx: Debian's may be linked to an OpenSSL that is too old for it.
    "tls_handshake_hybrid": Case(
        "the same with X25519MLKEM768",
        ("onionskin-tls", "granian-tls"),
        load="hybrid_handshakes",
        secured=True,
        answer=None,
        rival="granian-tls",
    ),
    "tls_handshake_rsa_hybrid": Case(
        "the same with an RSA key and X25519MLKEM768",
        ("onionskin-rsa", "granian-rsa"),
        load="hybrid_handshakes",
        secured=True,
        answer=None,
        rival="granian-rsa",
    ),
    "tls_resumed": Case(
        "a TLS handshake that resumes a session, and 13 bytes",
        TLS,
        headers={"Connection": "close"},
        secured=True,
        rival="nginx-tls",
    ),
    "idle": Case(
        "memory of an idle server, and of 1,000 idle connections",
        ("onionskin", "granian", "fastwsgi", "fastpysgi", "bjoern", "gunicorn-gthread", "waitress"),
        under_load=False,
    ),
}
