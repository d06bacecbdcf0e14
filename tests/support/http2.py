"""A client of HTTP/2 that sends what frames it is told to, sensible or not."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import hpack
from hyperframe import frame as frames

if TYPE_CHECKING:
    from typing_extensions import Self

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE = 10.0

# By these the clients of Python's h2 are known, which take the first GOAWAY for the end of all streams.
SETTINGS_OF_PYTHON = {1: 4096, 4: 65535, 5: 16384}


class Ended(Exception):
    """The connection ended before what was waited for had come."""


class RawClient:
    """One connection, whose greeting was exchanged unless `greet` says no."""

    def __init__(
        self,
        port: int,
        *,
        greet: bool = True,
        context: ssl.SSLContext | None = None,
        settings: dict[int, int] | None = None,
        source: str = "",
    ) -> None:
        own = (source, 0) if source else None
        self.socket: socket.socket = socket.create_connection(("127.0.0.1", port), PATIENCE, own)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.buffer = b""
        self.stream = -1
        if greet:
            self.socket.sendall(PREFACE)
            self.send(frames.SettingsFrame(0, settings or {}))
            self.send(frames.SettingsFrame(0, flags=["ACK"]))

    def send(self, *given: frames.Frame) -> None:
        """Sends frames as they are."""
        self.socket.sendall(b"".join(frame.serialize() for frame in given))

    def head(self, path: str, *fields: tuple[str, str], **pseudo: str) -> bytes:
        """The block of a request's fields; `pseudo` replaces what stands in front, "" leaves it out."""
        front = {"method": "GET", "scheme": "http", "authority": "a", "path": path, **pseudo}
        block = [(f":{name}", value) for name, value in front.items() if value]
        return bytes(self.encoder.encode([*block, *fields]))

    def request(
        self, path: str, *fields: tuple[str, str], body: bytes | None = None, end: bool = True, **pseudo: str
    ) -> int:
        """Sends a request; returns its stream."""
        self.stream += 2
        block = self.head(path, *fields, **{"method": "GET" if body is None else "POST", **pseudo})
        ends = ["END_STREAM"] if end and body is None else []
        self.send(frames.HeadersFrame(self.stream, block, flags=["END_HEADERS", *ends]))
        if body is not None:
            self.send(frames.DataFrame(self.stream, body, flags=["END_STREAM"] if end else []))
        return self.stream

    def frame(self) -> frames.Frame:
        """The next frame that comes."""
        header = self._take(9)
        frame, length = frames.Frame.parse_frame_header(memoryview(header))
        frame.parse_body(memoryview(self._take(length)))
        return frame

    def until(self, kind: type[frames.Frame], stream: int | None = None) -> frames.Frame:
        """The next frame of a kind, and of a stream; others are passed over, and header blocks understood."""
        while True:
            frame = self.frame()
            if isinstance(frame, frames.HeadersFrame):
                frame.fields = dict(self.decoder.decode(frame.data))
            if isinstance(frame, kind) and stream in (None, frame.stream_id):
                return frame

    def response(self, stream: int) -> tuple[int, bytes]:
        """Status and body of a response that comes whole."""
        head = self.until(frames.HeadersFrame, stream)
        body, ended = b"", "END_STREAM" in head.flags
        while not ended:
            block = self.until(frames.DataFrame, stream)
            body += block.data
            ended = "END_STREAM" in block.flags
        return int(head.fields[":status"]), body

    def reason_of_end(self) -> int | None:
        """Waits for the end of the connection: the reason that it was given, if one was."""
        reason = None
        try:
            while True:
                frame = self.frame()
                if isinstance(frame, frames.GoAwayFrame):
                    reason = frame.error_code
        except (Ended, ConnectionError):
            return reason

    def _take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            block = self.socket.recv(1 << 16)
            if not block:
                raise Ended
            self.buffer += block
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
