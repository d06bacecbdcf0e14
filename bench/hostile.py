"""What the worst requests cost, next to plain ones of their size.

    .venv/bin/python bench/hostile.py              # tables for docs/reliability.md; a minute
    .venv/bin/python bench/hostile.py --only accept

Each request has up to 64 KiB that were made to cost as much as they can: long lists, many escapes, many small
frames. All layers are on. The figure is the CPU time of the server's process for each request, over that of a
plain request of the same size to the same application: no ratio may be above 20.
"""

from __future__ import annotations

import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import hpack
from hyperframe import frame as frames

from trial import HOST, Findings, Server, options_of

BOUND = 20.0
SIZE = 64 << 10
MARGIN = 2048  # left for the other fields of a head

APPLICATION = """
import secrets

import onionskin as on

def plain(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "5"), ("Content-Type", "text/plain")])
    return [b"hello"]

def session(environ, start_response):
    environ["onionskin.session"].get("visits")
    return plain(environ, start_response)

def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/xml"), ("ETag", '"v7"')])
    return [body]

def raises(environ, start_response):
    raise on.HTTPError(404) if hasattr(on, "HTTPError") else ValueError("no such page")

globs = ["/elsewhere/**", "/**/edit/**/x", "/*/private/*", "**/*.secret"]
guards = {"path": globs, "header": ["user-agent: *bot*crawl*er*", "x-debug: *a*a*b"]}
application = on.Onion(
    on.RequestId(trust_inbound=True),
    on.Errors(),
    on.Compress(min_size=0),
    on.Headers(response={"set": {"X-Guarded": "yes"}}, match=guards),
    on.AllowAddresses(allowed_addresses=["192.0.2.0/24"], match={"path": globs}),
    on.AllowAddresses(allowed_addresses=["192.0.2.0/24"], match={"header": ["x-debug: *a*a*a*a*b"]}),
    on.Session(secret=[secrets.token_urlsafe(32)], secure=False),
    on.Xslt(sheet=SHEET, only_browsers=True),
)(on.Mount({
    "/files": on.StaticFiles(FILES, headers={"**/*.css": {"X-Style": "yes"}, "*a*b*c*": {"X-Abc": "yes"}}),
    "/proxy": on.Proxy(UPSTREAM, trust_forwarded=True),
    "/session": session,
    "/echo": echo,
    "/raises": raises,
}, default=plain))
"""
SHEET = """<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
<xsl:template match="/"><html><body/></html></xsl:template></xsl:stylesheet>
"""
UPSTREAM = """
def application(environ, start_response):
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""


@dataclass
class Case:
    """Bytes that are worse than they look, and plain ones for the same path."""

    name: str
    hostile: list[bytes]
    plain: list[bytes]
    protocol: Literal["HTTP/1", "HTTP/2"] = "HTTP/1"
    ratios: list[float] = field(default_factory=list)
    seconds: float = 0.0
    plainly: float = 0.0
    answer: str = ""


def head(target: bytes, *fields: tuple[str, bytes], method: bytes = b"GET") -> bytes:
    """A request's head."""
    lines = [b"%b %b HTTP/1.1" % (method, target), b"Host: a.example.org"]
    lines += [b"%b: %b" % (name.encode(), value) for name, value in fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def filled(unit: bytes, before: bytes = b"", after: bytes = b"", size: int = SIZE - MARGIN) -> bytes:
    """`unit` over and over, up to a size."""
    return before + unit * max((size - len(before) - len(after)) // len(unit), 0) + after


def in_field(path: bytes, name: str, value: bytes, *more: tuple[str, bytes]) -> Case:
    """A long value, next to a field of the same length that nothing reads."""
    said = value[:12].decode("latin-1").strip()
    hostile = head(path, (name, value), *more)
    plain = head(path, ("X-Plain", b"x" * (len(value) + len(name) - 7)), *more)
    return Case(f"{path.decode()}: `{name}: {said}…`", [hostile], [plain])


def with_fields(name: str, path: bytes, fields: Iterable[tuple[str, bytes]]) -> Case:
    """Several fields, next to as many bytes in one."""
    hostile = head(path, *fields)
    rest = len(hostile) - len(head(path, ("X-Plain", b"")))
    return Case(f"{path.decode()}: {name}", [hostile], [head(path, ("X-Plain", b"x" * rest))])


def in_target(start: bytes, unit: bytes, end: bytes = b"", *fields: tuple[str, bytes]) -> Case:
    """A long target, next to one of plain letters."""
    target = filled(unit, start, end)
    plain = start.partition(b"?")[0] + b"?" + b"x" * (len(target) - len(start.partition(b"?")[0]) - 1)
    said = (start + unit * 2)[:24].decode("latin-1")
    return Case(f"target `{said}…{end.decode()}`", [head(target, *fields)], [head(plain, *fields)])


def in_body(name: str, body: bytes, *fields: tuple[str, bytes], path: bytes = b"/") -> Case:
    """A chunked body, next to as many bytes with a Content-Length."""
    chunked = head(path, ("Transfer-Encoding", b"chunked"), *fields, method=b"POST") + body
    plain = head(path, ("Content-Length", b"%d" % len(body)), *fields, method=b"POST") + b"x" * len(body)
    return Case(f"{path.decode()}: {name}", [chunked], [plain])


def echoed(name: str, document: bytes) -> Case:
    """A document that the application sends back as XML."""
    browser = ("Accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
    plain = b"<a>" + b"x" * (len(document) - 7) + b"</a>"
    one, other = (
        head(b"/echo", browser, ("Content-Length", b"%d" % len(body)), method=b"POST") + body
        for body in (document, plain)
    )
    return Case(f"/echo: {name}", [one], [other])


def cases_of_http1() -> list[Case]:
    """All of HTTP/1."""
    cases = [
        in_target(b"/", b"a/"),
        in_target(b"/", b"/"),
        in_target(b"/", b"%61"),
        in_target(b"/", b"%c3%a9"),
        in_target(b"/", b"x/edit/"),
        in_target(b"/", b"a/private/"),
        in_target(b"/", b"a.secret/"),
        in_target(b"/files/", b"abc"),
        in_target(b"/files/", b"a/"),
        in_target(b"/files/", b"../"),
        in_target(b"/files/", b"%2e%2e%2f"),
        in_target(b"/proxy/", b"a/"),
        in_target(b"/proxy/", b"%61"),
        in_target(b"/proxy/", b"../"),
        in_target(b"/?", b"a=&"),
        in_target(b"/?", b"token=x&"),
        in_target(b"/?", b"%74oken=x&"),
        in_target(b"/?", b"&"),
        in_target(b"/?", b'"'),
        in_target(b"/?", b"?"),
        in_target(b"/?", b";"),
        in_target(b"/proxy/?", b'"'),
        in_target(b"/raises?", b'"'),
        in_field(b"/", "Cookie", filled(b"sid=x; ")),
        in_field(b"/session", "Cookie", filled(b"sid=x; ")),
        in_field(b"/session", "Cookie", filled(b";")),
        in_field(b"/session", "Cookie", filled(b"=; ")),
        in_field(b"/session", "Cookie", filled(b" ", b"a=b;", b"sid=x")),
        in_field(b"/session", "Cookie", filled(b"A", b"sid=")),
        in_field(b"/session", "Cookie", filled(b"A" * 3800 + b"; sid=", b"sid=")),
        in_field(b"/", "User-Agent", filled(b"bot")),
        in_field(b"/", "User-Agent", filled(b"crawl", b"bot")),
        in_field(b"/", "X-Debug", filled(b"a")),
        in_field(b"/", "Host-", filled(b"\xff")),
        in_field(b"/", "Referer", filled(b'"')),
        in_field(b"/", "User-Agent", filled(b"\xff")),
        in_field(b"/", "X-Request-Id", filled(b"a")),
        in_field(b"/", "traceparent", filled(b"-")),
        in_field(b"/", "tracestate", filled(b"a=b,")),
        in_field(b"/", "baggage", filled(b"a=b,")),
        in_field(b"/", "baggage", filled(b",")),
        in_field(b"/", "X-Forwarded-For", filled(b"1,")),
        in_field(b"/", "Forwarded", filled(b"for=1,")),
        in_field(b"/", "Content-Type", filled(b";")),
        in_field(b"/", "Content-Length", filled(b"0")),
        in_field(b"/", "Transfer-Encoding", filled(b"gzip,")),
        in_field(b"/", "Transfer-Encoding", filled(b",")),
        in_field(b"/", "Expect", filled(b"100-continue,")),
        in_field(b"/", "TE", filled(b"trailers,")),
        in_field(b"/", "X-Tabs", filled(b"\t")),
        in_field(b"/", "Upgrade", filled(b"websocket,")),
    ]
    for path in (b"/", b"/proxy/", b"/files/a.css", b"/raises"):
        cases += [
            in_field(path, "Connection", filled(b"a,")),
            in_field(path, "Connection", filled(b",")),
            in_field(path, "Accept", filled(b"a/b,")),
            in_field(path, "Accept", filled(b",")),
            in_field(path, "Accept", filled(b";", b"text/html")),
            in_field(path, "Accept", filled(b"text/html;q=0.001,")),
            in_field(path, "Accept", filled(b'"')),
            in_field(path, "Accept-Encoding", filled(b",")),
            in_field(path, "Accept-Encoding", filled(b"gzip,")),
            in_field(path, "Accept-Encoding", filled(b"x;q=0.1,")),
            in_field(path, "If-None-Match", filled(b'"",')),
            in_field(path, "If-None-Match", filled(b'W/"a",')),
            in_field(path, "If-None-Match", filled(b",")),
            in_field(path, "If-Match", filled(b'"",')),
            in_field(path, "If-Modified-Since", filled(b"Sun, ")),
            in_field(path, "Range", filled(b"0-0,", b"bytes=")),
            in_field(path, "Range", filled(b",", b"bytes=")),
            in_field(path, "Range", filled(b"9", b"bytes=0-")),
            in_field(path, "If-Range", filled(b'"",'), ("Range", b"bytes=0-0")),
            with_fields("100 fields", path, ((f"X-{i}", b"v" * 600) for i in range(98))),
            with_fields("100 fields, one name", path, (("Accept", b"a/b," * 150) for _ in range(98))),
            with_fields(
                "`Connection` names 100 fields",
                path,
                [("Connection", filled(b"qq,", size=59_000)), *((f"{i:02}", b"") for i in range(97))],
            ),
        ]
    cases += [
        in_field(b"/proxy/", "Via", filled(b"1 a,")),
        in_field(b"/proxy/", "Via", filled(b",")),
        in_field(b"/proxy/", "X-Forwarded-For", filled(b"1,")),
        in_field(b"/proxy/", "X-Forwarded-Prefix", filled(b"/")),
        in_field(b"/proxy/", "Forwarded", filled(b"for=1,")),
        in_field(b"/proxy/", "Max-Forwards", filled(b"9")),
        in_field(b"/proxy/", "Upgrade", filled(b"websocket,"), ("Connection", b"upgrade")),
        with_fields("underscores", b"/", ((f"X_{i}", b"v" * 600) for i in range(98))),
        with_fields("100 cookies", b"/session", (("Cookie", b"sid=x; " * 90) for _ in range(98))),
        in_body("chunks of one byte", filled(b"1\r\na\r\n", after=b"0\r\n\r\n")),
        in_body("chunks of one byte", filled(b"1\r\na\r\n", after=b"0\r\n\r\n"), path=b"/proxy/"),
        in_body("chunk extensions", filled(b"1;" + b"a=b;" * 3 + b"a\r\na\r\n", size=48_000) + b"0\r\n\r\n"),
        in_body(
            "trailers", b"0\r\n" + b"".join(b"T%d: %b\r\n" % (i, b"v" * 230) for i in range(30)) + b"\r\n"
        ),
        Case("empty lines", [filled(b"\r\n", after=head(b"/"))], [head(b"/", ("X-Plain", b"x" * 60_000))]),
        Case("spaces", [filled(b" ")], [head(b"/", ("X-Plain", b"x" * 60_000))]),
        echoed("processing instructions", filled(b"<?a b?>", after=b"<a/>")),
        echoed("comments", filled(b"<!---->", after=b"<a/>")),
        echoed("an open declaration", filled(b" ", b"<?xml ", b"?><a/>")),
        echoed("white space", filled(b" ", after=b"<a/>")),
        echoed("an open DOCTYPE", filled(b"[", b"<!DOCTYPE a ", b"><a/>")),
        echoed("stylesheets", filled(b'<?xml-stylesheet href="a" type="b"?>', after=b"<a/>")),
    ]
    return cases


class Frames:
    """Makes the bytes of connections of HTTP/2: preface, settings, a request, and frames behind it."""

    def __init__(self) -> None:
        self.encoder = hpack.Encoder()

    def block(self, *fields: tuple[str, str], path: str = "/", never: bool = False) -> bytes:
        """The field block of a request; with `never`, without entries in a table."""
        pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)]
        given = [*pseudo, *fields]
        return bytes(self.encoder.encode(given, huffman=not never))

    def request(self, block: bytes, stream: int = 1) -> bytes:
        """HEADERS, and CONTINUATION as far as it is needed."""
        pieces = [block[at : at + 16_384] for at in range(0, len(block), 16_384)] or [b""]
        out = frames.HeadersFrame(stream, pieces[0], flags=["END_STREAM"])
        if len(pieces) == 1:
            out.flags.add("END_HEADERS")
        made = [out.serialize()]
        for piece in pieces[1:]:
            more = frames.ContinuationFrame(stream, piece)
            if piece is pieces[-1]:
                more.flags.add("END_HEADERS")
            made.append(more.serialize())
        return b"".join(made)


GREETING = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + frames.SettingsFrame(0).serialize()
    + frames.SettingsFrame(0, flags=["ACK"]).serialize()
)


def cases_of_http2() -> list[Case]:
    """All of HTTP/2: a connection for each request."""

    def block_case(name: str, block: bytes) -> Case:
        made = Frames()
        plain = made.request(made.block(("x-plain", "x" * max(len(block) - 40, 1)), never=True))
        return Case(name, [GREETING + made.request(block)], [GREETING + plain], "HTTP/2")

    def frame_case(name: str, unit: bytes) -> Case:
        """Small frames in front of a request."""
        made = Frames()
        flood = filled(unit)
        last = made.request(made.block())
        plain = made.request(Frames().block(("x-plain", "x" * len(flood)), never=True))
        return Case(name, [GREETING + flood + last], [GREETING + plain], "HTTP/2")

    def crumbs(count: int, value: str) -> bytes:
        return Frames().block(*(("cookie", value) for _ in range(count)))

    unknown = bytes([0, 0, 0, 0x77, 0, 0, 0, 0, 0])
    return [
        block_case("crumbs of cookies", crumbs(90, "sid=x; " * 60)),
        block_case("references to one entry", Frames().block(("x-a", "v" * 3000)) + b"\xbe" * 20),
        block_case("references past the limit", Frames().block(("x-a", "v" * 3000)) + b"\xbe" * 60_000),
        block_case("1,500 empty fields", Frames().block(*((f"a{i % 50}", "") for i in range(1500)))),
        block_case("changes of the table's size", b"\x20" * 60_000),
        frame_case("PRIORITY", frames.PriorityFrame(3, 0, 16).serialize()),
        frame_case("unknown frames", unknown),
        frame_case("PING", frames.PingFrame(0, b"12345678").serialize()),
        frame_case("SETTINGS", frames.SettingsFrame(0).serialize()),
        frame_case("WINDOW_UPDATE", frames.WindowUpdateFrame(0, 1).serialize()),
    ]


class Client:
    """Sends bytes, reads the answer, reconnects if the server has closed the connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection: socket.socket | None = None

    def exchange(self, case: Case, what: bytes) -> str:
        """One request; the status of its answer."""
        if case.protocol == "HTTP/2":
            return self.exchange_http2(what)
        if self.connection is None:
            self.connection = socket.create_connection((HOST, self.port), 10)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.connection.sendall(what)
            status, stays = read_answer(self.connection)
        except OSError as error:
            status, stays = type(error).__name__, False
        if not stays:
            self.close()
        return status

    def exchange_http2(self, what: bytes) -> str:
        """One connection, read until the answer's end."""
        with socket.create_connection((HOST, self.port), 10) as connection:
            try:
                connection.sendall(what)
                return read_frames(connection)
            except OSError as error:
                return type(error).__name__

    def close(self) -> None:
        """Ends the connection, if there is one."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def read_answer(connection: socket.socket) -> tuple[str, bool]:
    """The status, and whether the connection stays open."""
    got = b""
    while b"\r\n\r\n" not in got:
        block = connection.recv(65536)
        if not block:
            return got[9:12].decode() or "closed", False
        got += block
    top, _, rest = got.partition(b"\r\n\r\n")
    lines = [line.lower().partition(b":") for line in top.split(b"\r\n")[1:]]
    fields = {name: value.strip() for name, _, value in lines}
    status = top[9:12].decode()
    if fields.get(b"transfer-encoding") == b"chunked":
        while not rest.endswith(b"0\r\n\r\n"):
            rest += connection.recv(65536)
    else:
        bodiless = status in ("204", "304")
        missing = 0 if bodiless else int(fields.get(b"content-length", b"0")) - len(rest)
        while missing > 0:
            missing -= len(connection.recv(65536))
    return status, fields.get(b"connection") != b"close"


def read_frames(connection: socket.socket) -> str:
    """How stream 1 ended."""
    buffer, status = b"", ""
    while True:
        while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
            length, kind, flags = int.from_bytes(buffer[:3], "big"), buffer[3], buffer[4]
            stream, payload = int.from_bytes(buffer[5:9], "big"), buffer[9 : 9 + length]
            buffer = buffer[9 + length :]
            if kind == 7:
                return "GOAWAY"
            if stream != 1:
                continue
            if kind == 3:
                return "RST_STREAM"
            if kind == 1:
                status = payload[:1].hex()  # the first field: 0x88 is 200
            if flags & 1:
                return status.replace("88", "200")
        block = connection.recv(65536)
        if not block:
            return "closed"
        buffer += block


def cpu_of(pid: int) -> float:
    """The CPU time that a process has taken, in seconds."""
    return time.clock_gettime((~pid << 3) | 2)


def measured(
    server: Server, client: Client, case: Case, what: list[bytes], seconds: float
) -> tuple[float, str]:
    """CPU seconds for each request, and its answer."""
    answer = client.exchange(case, what[0])
    count, began, due = 0, cpu_of(server.pid), time.monotonic() + seconds
    while time.monotonic() < due or count < 3:
        client.exchange(case, what[count % len(what)])
        count += 1
    taken = cpu_of(server.pid) - began
    client.close()
    return taken / count, answer


def try_out(server: Server, case: Case, seconds: float, rounds: int) -> None:
    """Both in turn, a few times."""
    client = Client(server.port)
    hostile, plain = [], []
    for _ in range(rounds):
        one, case.answer = measured(server, client, case, case.hostile, seconds)
        other, _ = measured(server, client, case, case.plain, seconds)
        hostile.append(one)
        plain.append(other)
    case.seconds, case.plainly = statistics.median(hostile), statistics.median(plain)
    case.ratios = [one / other for one, other in zip(hostile, plain, strict=True)]


def main() -> int:
    """All cases, the worst of them, and whether one is over the bound."""
    parser = options_of(__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="the cases whose names have this in them")
    parser.add_argument("--all", action="store_true", help="print every case, not only the worst")
    parser.add_argument("--seconds", type=float, default=0.05, help="for each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    every = [*cases_of_http1(), *cases_of_http2()]
    cases = [case for case in every if options.only.lower() in case.name.lower()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "files").mkdir()
        (folder / "files" / "a.css").write_text("a{}" * 100)
        (folder / "sheet.xsl").write_text(SHEET)
        (folder / "upstream.py").write_text(UPSTREAM)
        large = ("--max-request-line", "64KiB", "--max-head", "80KiB")
        with Server(options.python, folder, "upstream.py", "--bind", f"{HOST}:0", *large) as upstream:
            text = APPLICATION.replace("SHEET", repr(str(folder / "sheet.xsl")))
            text = text.replace("FILES", repr(str(folder / "files")))
            text = text.replace("UPSTREAM", repr(f"http://{HOST}:{upstream.port}"))
            (folder / "hostile.py").write_text(text)
            seeing = ("--access-log", str(folder / "access.log"), "--access-log-format", "json")
            masked = ("--access-log-mask-query", "token", "--access-log-skip", "/**/skipped/**")
            errors = ("--error-log", str(folder / "error.log"), "--error-pages", "default")
            arguments = (*large, *seeing, *masked, *errors, "--metrics-path", "/-/metrics")
            with Server(options.python, folder, "hostile.py", "--bind", f"{HOST}:0", *arguments) as server:
                for case in cases:
                    try_out(server, case, options.seconds, options.rounds)
    return tell(cases, options.all)


def tell(cases: list[Case], every: bool) -> int:
    """The table, the worst first."""
    cases.sort(key=lambda case: -statistics.median(case.ratios))
    findings = Findings("Request", "Bytes", "Answer", "CPU time", "Plain", "Ratio")
    for case in cases if every else cases[:15]:
        findings.row(
            f"{case.protocol} {case.name}",
            len(case.hostile[0]),
            case.answer,
            f"{case.seconds * 1e6:.0f} µs",
            f"{case.plainly * 1e6:.0f} µs",
            f"{statistics.median(case.ratios):.1f}",
        )
    for case in cases:
        ratio = statistics.median(case.ratios)
        findings.must(ratio <= BOUND, f"{case.name}: {ratio:.1f} times a plain request, above {BOUND:.0f}")
    print(
        f"{len(cases)} requests; the worst costs {statistics.median(cases[0].ratios):.1f} times a plain one"
    )
    return findings.end()


if __name__ == "__main__":
    sys.exit(main())
