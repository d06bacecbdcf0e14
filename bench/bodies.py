"""What unfinished uploads and clients that take nothing cost, and what others notice of them.

    .venv/bin/python bench/bodies.py            # a table for docs/reliability.md; some two minutes

One process with four threads is attacked in four ways: 500 uploads over HTTP/1 and 400 streams over HTTP/2
that have sent a megabyte each and go on at half a kilobyte a second, 8 clients that wait for `100 Continue`
and then send slowly, and 8 clients that take nothing of a response without end. Clients that are refused
reconnect. Meanwhile a well-behaved client uploads 100 KB and asks for a page, in turn, every few ms.
Its 99th percentile may be 1.2 times that without the attack, and bodies take no more than they may.
"""

from __future__ import annotations

import contextlib
import gc
import http.client
import itertools
import multiprocessing
import re
import select
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hpack
from hyperframe import frame as frames

from trial import HOST, Findings, Server, allow_open_files, memory_of, milliseconds, options_of, quantile

APPLICATION = """
BLOCK = bytes(65536)
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/endless":
        return iter(lambda: BLOCK, None)
    return [b"%d" % len(environ["wsgi.input"].read())]
"""
SPOOL_TOTAL = 256  # MiB
FILES_BOUND = 1.25 * SPOOL_TOTAL  # a body that is given up frees its file a moment later
MEMORY_TOTAL = 64  # MiB
BOUND = 1.2  # times the 99th percentile without the attack
MEMORY_BOUND = MEMORY_TOTAL + 96  # MiB, for all of the server that the attack adds
BODY, COME, DRIP = 100 << 20, 1 << 20, 500
UPLOAD = bytes(100_000)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
COMEBACKS = 20  # a second, at the most


def main() -> int:
    """Every attack, the table, and whether the bounds are met."""
    parser = options_of(__doc__)
    parser.add_argument("--seconds", type=float, default=8, help="of each measurement, two for each attack")
    parser.add_argument("options", nargs="*", help="of the server, behind --")
    options = parser.parse_args()
    allow_open_files(2000)
    findings = Findings(
        "Attack", "RSS", "At the most", "Bodies in files", "p99 alone", "p99 attacked", "Ratio", "Refused"
    )
    for attack in ATTACKS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "bodies.py").write_text(APPLICATION)
            given = ("--bind", f"{HOST}:0", "--metrics-path", "/-/metrics")
            totals = ("--body-spool-total", f"{SPOOL_TOTAL}MiB", "--body-memory-total", f"{MEMORY_TOTAL}MiB")
            with Server(
                options.python, folder, "bodies.py", "--threads", "4", *given, *totals, *options.options
            ) as server:
                trial(server, attack, options.seconds, findings)
    return findings.end()


def trial(server: Server, attack: Attack, seconds: float, findings: Findings) -> None:
    """Measures without the attack, then under it."""
    measure(server.port, 1)
    before = memory_of(server.pid)
    alone = quantile(measure(server.port, seconds), 0.99)
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    attacker = context.Process(target=attack.run, args=(server.port, ready), daemon=True)
    with Watch(server) as watch:
        attacker.start()
        ready.wait(60)
        time.sleep(2)
        attacked = quantile(measure(server.port, seconds), 0.99)
        refused = watch.number("request_bodies_refused_total") + watch.number("responses_abandoned_total")
    attacker.kill()
    attacker.join()
    ratio = attacked / alone
    findings.row(
        attack.name,
        f"{before:.0f} MiB",
        f"{watch.memory:.0f} MiB",
        f"{watch.files:.0f} MiB",
        milliseconds(alone),
        milliseconds(attacked),
        f"{ratio:.2f}",
        f"{refused:.0f}",
    )
    findings.must(ratio <= BOUND, f"{attack.name}: {ratio:.2f} times the p99 without the attack")
    findings.must(watch.files <= FILES_BOUND, f"{attack.name}: {watch.files:.0f} MiB in files")
    grown = watch.memory - before
    findings.must(grown <= MEMORY_BOUND, f"{attack.name}: {grown:.0f} MiB more memory")


def measure(port: int, seconds: float) -> list[float]:
    """How long answers took."""
    times = []
    client = http.client.HTTPConnection(HOST, port, timeout=30)
    gc.disable()
    due = time.perf_counter() + seconds
    while time.perf_counter() < due:
        for method, body in (("POST", UPLOAD), ("GET", b"")):
            began = time.perf_counter()
            client.request(method, "/", body or None)
            answer = client.getresponse().read()
            times.append(time.perf_counter() - began)
            if answer != b"%d" % len(body):
                raise SystemExit(f"a request failed: {answer!r}")
            time.sleep(0.002)
    gc.enable()
    client.close()
    return times


class Watch:
    """What the server has at the most of what is looked at."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.memory = self.files = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(0.25):
            self.memory = max(self.memory, memory_of(self.server.pid))
            self.files = max(self.files, self.number('spool_bytes{kind="request"}') / (1 << 20))

    def number(self, name: str) -> float:
        """The sum of the samples of this name."""
        client = http.client.HTTPConnection(HOST, self.server.port, timeout=30)
        with contextlib.closing(client):
            client.request("GET", "/-/metrics")
            text = client.getresponse().read().decode()
        found = re.findall(rf"^onionskin_{re.escape(name)}\S* (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def again_and_again(clients: list[Client], ready: threading.Event) -> None:
    """Begins all, and has each do a little every second; one that was closed comes again."""
    for client in clients:
        client.begin()
    ready.set()
    for client in itertools.cycle([None, *clients]):
        if client is None:
            time.sleep(1)
            comebacks = COMEBACKS
        elif not client.go_on() and comebacks > 0:
            comebacks -= 1
            client.begin()


class Client:
    """An upload over HTTP/1 that does not end."""

    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % BODY
    come = COME

    def __init__(self, port: int) -> None:
        self.port = port
        self.socket = socket.socket()

    def begin(self) -> None:
        """Connects, and sends what comes at once."""
        self.socket.close()
        self.socket = socket.create_connection((HOST, self.port), 10)
        with contextlib.suppress(OSError):
            self.start()
        self.socket.setblocking(False)

    def start(self) -> None:
        """What comes at once."""
        self.socket.sendall(self.head + bytes(self.come))

    def go_on(self) -> bool:
        """Sends a little. Whether the server still wants it."""
        try:
            if select.select([self.socket], [], [], 0)[0]:
                return False
            self.socket.send(bytes(DRIP))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


class Expecting(Client):
    """One that waits to be asked for its body."""

    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % BODY

    def start(self) -> None:
        """Sends the head, and waits for the word."""
        self.socket.sendall(self.head)
        self.socket.recv(100)


class Reader(Client):
    """One that takes nothing of a response without end."""

    def start(self) -> None:
        """Asks for it."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")

    def go_on(self) -> bool:
        """Whether the server has not given it up."""
        poll = select.poll()
        poll.register(self.socket, select.POLLHUP | select.POLLERR)
        return not poll.poll(0)


class Multiplexed(Client):
    """A hundred uploads on one connection of HTTP/2."""

    streams = 100

    def start(self) -> None:
        """Opens all streams, and sends what comes at once of each, as the server grants it."""
        self.buffer = b""
        self.window = 65535
        encoder = hpack.Encoder()
        fields = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/")]
        self.socket.sendall(PREFACE + frames.SettingsFrame(0).serialize())
        self.numbers = range(1, 2 * self.streams, 2)
        for number in self.numbers:
            block = encoder.encode([*fields, ("content-length", str(BODY))])
            self.socket.sendall(frames.HeadersFrame(number, block, flags=["END_HEADERS"]).serialize())
        for number in list(self.numbers) * (COME // 16384):
            self.data(number, 16384)

    def data(self, number: int, size: int) -> None:
        """Sends a frame of a stream."""
        self.read(size)
        self.window -= size
        self.socket.sendall(frames.DataFrame(number, bytes(size)).serialize())

    def read(self, wanted: int) -> None:
        """Reads what has come, and waits until the window is as large as wanted."""
        while self.window < wanted or select.select([self.socket], [], [], 0)[0]:
            block = self.socket.recv(1 << 16)
            if not block:
                raise OSError
            self.buffer += block
            while len(self.buffer) >= 9:
                frame, length = frames.Frame.parse_frame_header(memoryview(self.buffer[:9]))
                if len(self.buffer) < 9 + length:
                    break
                frame.parse_body(memoryview(self.buffer[9 : 9 + length]))
                self.buffer = self.buffer[9 + length :]
                if isinstance(frame, frames.WindowUpdateFrame) and frame.stream_id == 0:
                    self.window += frame.window_increment

    def go_on(self) -> bool:
        """Sends a little on each stream."""
        self.socket.settimeout(10)
        try:
            for number in self.numbers:
                self.data(number, DRIP)
        except OSError:
            return False
        return True


@dataclass
class Attack:
    """So many clients of one kind."""

    name: str
    kind: Callable[[int], Client]
    count: int

    def run(self, port: int, ready: threading.Event) -> None:
        """Attacks, until the process is ended."""
        again_and_again([self.kind(port) for _ in range(self.count)], ready)


ATTACKS = [
    Attack("500 unfinished uploads", Client, 500),
    Attack("4 connections of HTTP/2, 100 unfinished uploads each", Multiplexed, 4),
    Attack("8 times `Expect: 100-continue`, then slow", Expecting, 8),
    Attack("8 readers that take nothing", Reader, 8),
]


if __name__ == "__main__":
    sys.exit(main())
