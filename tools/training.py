"""The load under which the compiler learns what a server does all day: see profile.sh.

    python tools/training.py    # with an onionskin that writes a profile

What is not asked here counts as seldom, and is made small rather than fast. The answers are not checked: the
tests do that.
"""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from wsgiref.util import setup_testing_defaults

from onionskin import (
    AllowAddresses,
    Compress,
    Errors,
    Headers,
    Mount,
    Onion,
    Proxy,
    RequestId,
    Session,
    StaticFiles,
    _core,
)
from onionskin.serving import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CONNECTIONS = 32
ROUNDS = 100
SILENCE = 0.3  # seconds after which an answer is over

BROWSER = b"""\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r
Accept-Language: en-US,en;q=0.5\r
Accept-Encoding: gzip, deflate, br\r
Cookie: session=0123456789abcdef; theme=dark\r
Referer: http://localhost/list?page=2\r
Cache-Control: no-cache\r
X-Forwarded-For: 192.0.2.7\r
"""
KILOBYTE = b"x" * 1024


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Every kind of answer, by path."""
    path = environ["PATH_INFO"]
    if path == "/text":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
        return [b"Hello, World!"]
    if path == "/page":
        headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Vary", "Cookie"),
            ("X-Frame-Options", "DENY"),
        ]
        start_response("200 OK", [*headers, ("Set-Cookie", "seen=1; Path=/"), ("ETag", '"1"')])
        return [KILOBYTE * 8]
    if path == "/large":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return [KILOBYTE * 64]
    if path == "/echo":
        start_response("201 Created", [("Content-Type", "application/octet-stream")])
        return [environ["wsgi.input"].read()]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (KILOBYTE for _ in range(20))
    if path == "/file":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        file = tempfile.TemporaryFile()  # noqa: SIM115  whoever sends it closes it
        file.write(KILOBYTE * 32)
        file.seek(0)
        wrapped: Iterable[bytes] = environ.get("wsgi.file_wrapper", iter)(file)
        return wrapped
    if path == "/session":
        environ["onionskin.session"]["user"] = "somebody"
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"welcome"]
    if path == "/moved":
        start_response("302 Found", [("Location", "/text"), ("Content-Length", "0")])
        return []
    start_response("404 NOT FOUND", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"Nothing ", b"here"]


LAYERS = Onion(
    RequestId(),
    AllowAddresses(allowed_addresses=["192.0.2.0/24"], match={"path": ["/denied"]}),
    Headers(response={"set": {"X-Content-Type-Options": "nosniff"}}),
    Errors(),
    Compress(),
    Session(secret=["of no use to anybody, but long enough"], secure=False, match={"path": ["/session"]}),
)


def build(behind: str, static: str) -> WSGIApplication:
    """Layers of every kind around `application`, a folder and another server."""
    targets = {
        "/static": StaticFiles(root=static),
        "/behind": Proxy(target=f"http://{behind}", strip_prefix="/behind"),
    }
    return LAYERS(Mount(targets, default=application))


def request(line: str, headers: bytes = b"", body: bytes = b"") -> bytes:
    if body:
        headers += b"Content-Length: %d\r\n" % len(body)
    return b"%s HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n%s\r\n%s" % (line.encode(), headers, body)


LOADS = [
    (request("GET /text"), ROUNDS * 2),
    (request("GET /text?page=2&sort=name", BROWSER), ROUNDS),
    (request("GET /page", BROWSER), ROUNDS),
    (request("GET /na%C3%AFve/path"), ROUNDS // 2),
    (request("HEAD /page"), ROUNDS // 4),
    (request("GET /moved", BROWSER), ROUNDS // 4),
    (request("POST /echo", BROWSER, KILOBYTE), ROUNDS),
    (request("POST /echo", b"", KILOBYTE * 64), ROUNDS // 10),
    (
        request("POST /echo", b"Transfer-Encoding: chunked\r\n") + b"400\r\n%s\r\n0\r\n\r\n" % KILOBYTE,
        ROUNDS // 4,
    ),
    (request("GET /stream"), ROUNDS // 2),
    (request("GET /large"), ROUNDS // 10),
    (request("GET /file"), ROUNDS // 10),
    (request("GET /denied"), ROUNDS),
]
LAYERED = [
    (request("GET /session", BROWSER), ROUNDS // 2),
    (request("GET /static/page.css"), ROUNDS),
    (request("GET /static/page.css", BROWSER), ROUNDS // 2),
    (request("GET /page", b"Accept-Encoding: zstd\r\n"), ROUNDS // 2),
    (request("GET /large", b"Accept-Encoding: gzip\r\n"), ROUNDS // 10),
    (request("GET /behind/text"), ROUNDS * 2),
    (request("GET /behind/page", BROWSER), ROUNDS),
    (request("GET /behind/large"), ROUNDS // 10),
    (request("POST /behind/echo", BROWSER, KILOBYTE), ROUNDS // 2),
    (request("POST /behind/echo", b"", KILOBYTE * 64), ROUNDS // 10),
]


def ask(address: tuple[str, int], asked: bytes, rounds: int) -> None:
    """Asks the same over and over, on all connections at once."""
    connections = [socket.create_connection(address) for _ in range(CONNECTIONS)]
    # The length of the first answer is that of all others.
    first, length = connections[0], 0
    first.sendall(asked)
    first.settimeout(SILENCE)
    try:
        while block := first.recv(1 << 20):
            length += len(block)
    except TimeoutError:
        first.settimeout(None)
    for _ in range(rounds):
        for connection in connections:
            connection.sendall(asked)
        for connection in connections:
            connection.recv(length, socket.MSG_WAITALL)
    for connection in connections:
        connection.close()


def ask_anew(address: tuple[str, int], times: int) -> None:
    """A new connection for each request."""
    for _ in range(times):
        with socket.create_connection(address) as connection:
            connection.sendall(request("GET /text", b"Connection: close\r\n"))
            while connection.recv(1 << 16):
                pass


def ask_streams(address: tuple[str, int], times: int) -> None:
    """HTTP/2 with prior knowledge (RFC 9113 section 3.3): one stream after the other."""

    def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
        return b"%s%c%c%s%s" % (
            len(payload).to_bytes(3, "big"),
            kind,
            flags,
            stream.to_bytes(4, "big"),
            payload,
        )

    settings, headers, ended, acknowledged = 4, 1, 0x1, 0x1
    # :method GET, :scheme http, names by the static table, values as they are (RFC 7541 section 6.2.2).
    fields = b"\x82\x86\x04\x05/text\x01\x0e127.0.0.1:8000"
    with socket.create_connection(address) as connection, connection.makefile("rb") as answers:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(settings, 0, 0))
        for stream in range(1, 2 * times, 2):
            connection.sendall(frame(headers, ended | 0x4, stream, fields))
            while True:
                head = answers.read(9)
                answers.read(int.from_bytes(head[:3], "big"))
                if head[3] == settings and not head[4] & acknowledged:
                    connection.sendall(frame(settings, acknowledged, 0))
                if head[5:] == stream.to_bytes(4, "big") and head[4] & ended:
                    break


def call(app: WSGIApplication, times: int) -> None:
    """The other door: calls, as from another server."""
    for _ in range(times):
        environ: WSGIEnvironment = {"PATH_INFO": "/page", "REMOTE_ADDR": "192.0.2.7"}
        setup_testing_defaults(environ)
        environ["wsgi.input"] = io.BytesIO()
        answer = app(environ, lambda *_: lambda _: None)
        for _block in answer:
            pass
        if close := getattr(answer, "close", None):
            close()


def serve(app: WSGIApplication) -> None:
    server = _core.Server(app, {"bind": ["127.0.0.1:0"], "threads": 1})
    print(server.bound[0], flush=True)
    run(server)


class Served:
    """A server in a process of its own.

    It has to end in peace: a process writes its profile at its very end.
    """

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, "serve", *arguments], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.bound = self.process.stdout.readline().strip()
        host, _, port = self.bound.rpartition(":")
        self.address = host, int(port)

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        if status := self.process.wait():
            sys.exit(f"training: a server ended with {status}")


def train() -> None:
    with tempfile.TemporaryDirectory() as static, Served() as plain:
        Path(static, "page.css").write_bytes(KILOBYTE * 10)
        for asked, rounds in LOADS:
            ask(plain.address, asked, rounds)
        ask_anew(plain.address, ROUNDS)
        ask_streams(plain.address, ROUNDS * 10)
        with Served(plain.bound, static) as layered:
            for asked, rounds in [*LOADS, *LAYERED]:
                ask(layered.address, asked, rounds)
        call(build(plain.bound, static), ROUNDS * CONNECTIONS)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            serve(application)
        case ["serve", behind, static]:
            serve(build(behind, static))
        case _:
            train()
