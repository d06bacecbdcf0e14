"""Clients that ask until they are told to end, and note when, and on which port, a request failed.

A request has failed when its connection could not be made, broke off before the whole answer, or the answer
was not 200. Nothing is tried again, but by httpx what it knows was not taken. What a server has said of a
connection is heeded as every client does: one whose answer said `Connection: close`, that was closed while
it was idle, or that was told GOAWAY, is replaced. By TLS, a connection whose client has a session must resume
it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import hpack
import httpx
from hyperframe import frame as frames

from trial import HOST

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STREAMS = 4  # that a client of HTTP/2 has open at once
KINDS = ("keep-alive", "a connection each", "HTTP/2", "httpx")


@dataclass(frozen=True)
class Failure:
    """A request that failed: what, on which port of the client, and from when to when."""

    what: str
    port: int | None
    began: float
    ended: float


class Load:
    """Sixteen clients, and those that are given besides, as long as the context is open."""

    def __init__(
        self, port: int, more: Sequence[type[KeepAlive]] = (), certificate: Path | None = None
    ) -> None:
        self.port = port
        self.ended = threading.Event()
        self.asked: Counter[str] = Counter()
        self.failed: list[Failure] = []
        self.lock = threading.Lock()
        kinds = [KeepAlive] * 8 + [Closing] * 4 + [Http2] * 4 + [*more]
        self.threads = [
            threading.Thread(target=self._ask, args=(number, kind(port, certificate)))
            for number, kind in enumerate(kinds)
        ]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def _ask(self, number: int, client: KeepAlive) -> None:
        # Some ask without a pause, some with one, some for what takes a while.
        pause, path = (0.0, 0.01, 0.2)[number % 3], "/slow" if number % 4 == 3 else "/"
        asked = 0
        while not self.ended.is_set():
            began = time.monotonic()
            failures = client.ask(path)
            asked += client.requests
            if failures:
                ended = time.monotonic()
                noted = [
                    Failure(f"{client.kind}, {path}: {what}", client.port, began, ended) for what in failures
                ]
                with self.lock:
                    self.failed += noted
            time.sleep(pause)
        client.close()
        with self.lock:
            self.asked[client.kind] += asked


class KeepAlive:
    """HTTP/1.1, one connection for as long as the server keeps it."""

    kind = "keep-alive"
    requests = 1
    fields = ""
    protocol = "http/1.1"

    def __init__(self, server: int, certificate: Path | None = None) -> None:
        self.server = server
        self.tls: ssl.SSLContext | None = None
        if certificate is not None:
            self.tls = ssl.create_default_context(cafile=str(certificate))
            self.tls.set_alpn_protocols([self.protocol])
        self.session: ssl.SSLSession | None = None
        self.connection: socket.socket | None = None
        self.port: int | None = None

    def ask(self, path: str) -> Sequence[str]:
        """Asks; what went wrong, for each request that failed."""
        if self.connection is not None and arrived(self.connection) is not None:
            self.close()
        try:
            if not self.exchange(self.connection or self.connect(), path):
                self.close()
        except OSError as error:
            self.close()
            return [repr(error)]
        return []

    def connect(self) -> socket.socket:
        """A new connection."""
        self.port = None
        self.connection = socket.create_connection((HOST, self.server), 30)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = self.connection.getsockname()[1]
        if self.tls is not None:
            self.connection = self.secured(self.connection, self.tls)
        return self.connection

    def secured(self, connection: socket.socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
        """The connection behind its handshake."""
        secured = tls.wrap_socket(
            connection, server_hostname=HOST, session=self.session, suppress_ragged_eofs=False
        )
        if self.session is not None and not secured.session_reused:
            secured.close()
            raise ConnectionError("the session was not resumed")
        return secured

    def exchange(self, connection: socket.socket, path: str) -> bool:
        """One request and its answer. Tells whether the connection may be kept."""
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n{self.fields}\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\nhello"):
            block = connection.recv(65536)
            if not block:
                raise ConnectionError(f"the connection ended after {len(answer)} bytes of the answer")
            answer += block
            if not b"HTTP/1.1 200 ".startswith(answer[:13]):
                raise ConnectionError(answer.split(b"\r\n")[0].decode())
        return b"connection: close" not in answer.lower()

    def close(self) -> None:
        """Lets go of the connection."""
        if isinstance(self.connection, ssl.SSLSocket):
            self.session = self.connection.session or self.session
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class Closing(KeepAlive):
    """HTTP/1.1, a connection for each request."""

    kind = "a connection each"
    fields = "Connection: close\r\n"


class Http2(KeepAlive):
    """HTTP/2 by prior knowledge, a few streams at once."""

    kind = "HTTP/2"
    requests = STREAMS
    protocol = "h2"

    def connect(self) -> socket.socket:
        """A new connection, greeted."""
        connection = super().connect()
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.buffer = b""
        self.stream = -1
        self.leaving = False
        connection.sendall(PREFACE + frames.SettingsFrame(0).serialize())
        return connection

    def ask(self, path: str) -> Sequence[str]:
        """Asks on a few streams; what went wrong, for each that failed."""
        self.open: dict[int, str] = {}
        self.wrong: list[str] = []
        try:
            self.say_goodbye()
            connection = self.connection or self.connect()
            connection.sendall(b"".join(self.request(path) for _ in range(STREAMS)))
            while self.open:
                self.read(connection, connection.recv(65536))
        except OSError as error:
            self.close()
            return [*self.wrong, *[repr(error)] * (len(self.open) or STREAMS - len(self.wrong))]
        return self.wrong

    def request(self, path: str) -> bytes:
        """The frame of a request."""
        self.stream += 2
        self.open[self.stream] = ""
        scheme = "http" if self.tls is None else "https"
        fields = [(":method", "GET"), (":scheme", scheme), (":authority", "a"), (":path", path)]
        block = self.encoder.encode(fields)
        flags = ["END_HEADERS", "END_STREAM"]
        return bytes(frames.HeadersFrame(self.stream, block, flags=flags).serialize())

    def say_goodbye(self) -> None:
        """Reads what has come while nothing was asked, and leaves the connection if it is to be left."""
        while self.connection is not None and (block := arrived(self.connection)) is not None:
            try:
                self.read(self.connection, block)
            except OSError:
                self.close()
        if self.connection is not None and self.leaving:
            self.close()

    def read(self, connection: socket.socket, block: bytes) -> None:
        """Takes what has come, all frames that are whole."""
        if not block:
            raise ConnectionError(f"the connection ended with {len(self.open)} streams open")
        self.buffer += block
        while len(self.buffer) >= 9:
            frame, length = frames.Frame.parse_frame_header(memoryview(self.buffer[:9]))
            if len(self.buffer) < 9 + length:
                return
            frame.parse_body(memoryview(self.buffer[9 : 9 + length]))
            self.buffer = self.buffer[9 + length :]
            self.take(connection, frame)

    def take(self, connection: socket.socket, frame: frames.Frame) -> None:
        """What a frame says."""
        if isinstance(frame, frames.GoAwayFrame):
            self.leaving = True
            for stream in [stream for stream in self.open if stream > frame.last_stream_id]:
                self.done(stream, f"GOAWAY {frame.error_code} before its stream")
        elif isinstance(frame, (frames.SettingsFrame, frames.PingFrame)) and "ACK" not in frame.flags:
            said = frame.opaque_data if isinstance(frame, frames.PingFrame) else None
            answer = frames.PingFrame(0, said) if said is not None else frames.SettingsFrame(0)
            answer.flags.add("ACK")
            reply(connection, answer)
        elif isinstance(frame, frames.HeadersFrame):
            self.open[frame.stream_id] = dict(self.decoder.decode(frame.data))[":status"]
        elif isinstance(frame, frames.DataFrame) and frame.data:
            reply(connection, frames.WindowUpdateFrame(0, len(frame.data)))
        elif isinstance(frame, frames.RstStreamFrame):
            self.done(frame.stream_id, f"reset with {frame.error_code}")
        if "END_STREAM" in frame.flags:
            status = self.open[frame.stream_id]
            self.done(frame.stream_id, "" if status == "200" else f"status {status}")

    def done(self, stream: int, wrong: str) -> None:
        """A stream has ended."""
        self.open.pop(stream, None)
        if wrong:
            self.wrong.append(wrong)


class Httpx(KeepAlive):
    """HTTP/2 by httpx, a few requests at once.

    What it waits for when GOAWAY comes it loses, and it doesn't see that an idle connection has ended.
    """

    kind = "httpx"
    requests = STREAMS

    def __init__(self, server: int, certificate: Path | None = None) -> None:
        super().__init__(server, certificate)
        self.loop = asyncio.new_event_loop()
        self.base = f"{'http' if self.tls is None else 'https'}://{HOST}:{server}"
        self.client = httpx.AsyncClient(http1=False, http2=True, verify=self.tls or False, timeout=30)

    def ask(self, path: str) -> Sequence[str]:
        """Asks a few times; what went wrong, for each that failed."""
        return [wrong for wrong in self.loop.run_until_complete(self.ask_at_once(path)) if wrong]

    async def ask_at_once(self, path: str) -> Sequence[str]:
        """What went wrong, for each request, or nothing."""
        return await asyncio.gather(*(self.ask_once(path) for _ in range(STREAMS)))

    async def ask_once(self, path: str) -> str:
        """What went wrong, or nothing."""
        try:
            answer = await self.client.get(self.base + path)
        except httpx.HTTPError as error:
            return repr(error)
        return "" if answer.status_code == 200 else f"status {answer.status_code}"

    def close(self) -> None:
        """Lets go of the connection, for good."""
        self.loop.run_until_complete(self.client.aclose())
        self.loop.close()


def reply(connection: socket.socket, frame: frames.Frame) -> None:
    """Sends what concerns the connection. Reading tells whether it is open: answers may be left in it."""
    with suppress(OSError):
        connection.sendall(frame.serialize())


def arrived(connection: socket.socket) -> bytes | None:
    """What has come while nothing was asked, nothing at its end; none if it is open and idle."""
    patience = connection.gettimeout()
    connection.setblocking(False)
    try:
        return connection.recv(65536)
    except (BlockingIOError, ssl.SSLWantReadError):
        return None
    except OSError:
        return b""
    finally:
        connection.settimeout(patience)
