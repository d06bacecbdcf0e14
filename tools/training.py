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
from typing import TYPE_CHECKING
from wsgiref.util import setup_testing_defaults

from onionskin import AllowAddresses, Onion, RequestId, _core
from onionskin.serving import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

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
    if path == "/moved":
        start_response("302 Found", [("Location", "/text"), ("Content-Length", "0")])
        return []
    start_response("404 NOT FOUND", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"Nothing ", b"here"]


layered = Onion(RequestId(), AllowAddresses(allowed_addresses=["192.0.2.0/24"], match={"path": ["/denied"]}))(
    application
)


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


def call(times: int) -> None:
    """The other door: calls, as from another server."""
    for _ in range(times):
        environ: WSGIEnvironment = {"PATH_INFO": "/page", "REMOTE_ADDR": "192.0.2.7"}
        setup_testing_defaults(environ)
        environ["wsgi.input"] = io.BytesIO()
        answer = layered(environ, lambda *_: lambda _: None)
        for _block in answer:
            pass
        if close := getattr(answer, "close", None):
            close()


def serve(name: str) -> None:
    app = {"plain": application, "layered": layered}[name]
    server = _core.Server(app, {"bind": ["127.0.0.1:0"], "threads": 1})
    print(server.bound[0], flush=True)
    run(server)


def train(name: str) -> None:
    """Asks a server with one of the applications everything.

    The server has to end in peace, for a process writes its profile at its very end.
    """
    served = subprocess.Popen([sys.executable, __file__, name], stdout=subprocess.PIPE, text=True)
    assert served.stdout is not None
    host, _, port = served.stdout.readline().strip().rpartition(":")
    address = host, int(port)
    try:
        for asked, rounds in LOADS:
            ask(address, asked, rounds)
        ask_anew(address, ROUNDS)
    finally:
        served.terminate()
        if status := served.wait():
            sys.exit(f"training: the server with the {name} application ended with {status}")


if __name__ == "__main__":
    if sys.argv[1:]:
        serve(sys.argv[1])
    else:
        train("plain")
        train("layered")
        call(ROUNDS * CONNECTIONS)
