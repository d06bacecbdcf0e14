"""An HTTP client over a raw socket: it hides nothing of what comes, and mends nothing of what is sent."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Ended(Exception):
    """The connection ended, by a close or a reset, before what was waited for had come."""


@dataclass(frozen=True)
class Response:
    """One response as it came. `body` is empty where only the head was asked for."""

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """The values of a header, as often as it came."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of a header that came once or not at all."""
        values = self.all(name)
        assert len(values) <= 1, self.headers
        return values[0] if values else None


class Client:
    """One connection to `place`, `http://HOST:PORT` or `unix:PATH`; over TCP, from the address `source`."""

    def __init__(self, place: str, timeout: float, source: str = "") -> None:
        if place.startswith("unix:"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(place.removeprefix("unix:"))
        else:
            host, _, port = place.removeprefix("http://").rpartition(":")
            own = (source, 0) if source else None
            self.socket = socket.create_connection((host.strip("[]"), int(port)), timeout, own)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.socket.sendall(data)

    def request(self, method: str, path: str, *headers: str, body: bytes = b"", version: str = "1.1") -> None:
        """Sends one well-formed request, with Content-Length if there is a body."""
        length = [f"Content-Length: {len(body)}"] if body else []
        lines = [f"{method} {path} HTTP/{version}", "Host: a", *headers, *length, "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + body)

    def get(self, path: str, *headers: str, version: str = "1.1") -> Response:
        """Sends a GET, and takes the response."""
        self.request("GET", path, *headers, version=version)
        return self.response()

    def response(self, method: str = "GET") -> Response:
        """Takes one whole response to a request with `method`."""
        head = self.head()
        bodiless = method == "HEAD" or head.status in (204, 304) or head.status < 200
        if bodiless:
            return head
        if head.header("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
        elif (length := head.header("Content-Length")) is not None:
            body = self.take(int(length))
        else:
            body = self.rest()
        return Response(head.version, head.status, head.reason, head.headers, body)

    def head(self) -> Response:
        """Takes a response head, and nothing of the body."""
        status_line, *lines = self.until(b"\r\n\r\n").decode("latin-1")[:-4].split("\r\n")
        version, status, reason = status_line.split(" ", 2)
        headers = [line.split(": ", 1) for line in lines]
        return Response(version, int(status), reason, [(name, value) for name, value in headers])

    def chunk(self) -> bytes:
        """Takes one chunk; the last one is empty."""
        size = int(self.until(b"\r\n")[:-2], 16)
        data = self.take(size)
        assert self.take(2) == b"\r\n"
        return data

    def take(self, size: int) -> bytes:
        """Takes exactly `size` bytes."""
        blocks, missing = [self.buffer[:size]], size - len(self.buffer)
        self.buffer = self.buffer[size:]
        while missing > 0:
            block = self._receive(min(missing, 1 << 20))
            blocks.append(block)
            missing -= len(block)
        return b"".join(blocks)

    def until(self, end: bytes) -> bytes:
        """Takes everything up to and including `end`."""
        while end not in self.buffer:
            self.buffer += self._receive(1 << 16)
        taken, _, self.buffer = self.buffer.partition(end)
        return taken + end

    def rest(self) -> bytes:
        """Takes what comes until the server closes; a reset raises."""
        blocks = [self.buffer]
        self.buffer = b""
        while block := self.socket.recv(1 << 16):
            blocks.append(block)
        return b"".join(blocks)

    def is_ended(self) -> bool:
        """Waits for the server to close or reset, with nothing more to take."""
        try:
            return not self.buffer and not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def half_close(self) -> None:
        """Says that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Breaks off, so that the server gets a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    @property
    def is_closed(self) -> bool:
        """Whether this side has closed it."""
        return self.socket.fileno() < 0

    def close(self) -> None:
        """Closes the connection."""
        self.socket.close()

    def _receive(self, most: int) -> bytes:
        try:
            block = self.socket.recv(most)
        except ConnectionResetError as error:
            raise Ended from error
        if not block:
            raise Ended
        return block

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
