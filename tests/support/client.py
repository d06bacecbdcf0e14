"""A plain HTTP/1.1 client that shows an answer as it came: reason, duplicates, latin-1, is it whole."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TIMEOUT = 10.0


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)
    whole: bool
    """Whether the body came to the end that was announced."""

    def get_all(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a header that may come once."""
        values = self.get_all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


def ask(
    address: tuple[str, int],
    target: str = "/",
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
    host: str = "example.org",
    source: str | None = None,
) -> Reply:
    """One request on a connection of its own, from ``source``. ``ConnectionError`` if there is no answer."""
    own = (source, 0) if source else None
    connection = HTTPConnection(*address, timeout=TIMEOUT, source_address=own)
    with contextlib.closing(connection):
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        received, whole = read_body(response)
        return Reply(response.status, response.reason, response.getheaders(), received, whole)


def read_body(response: HTTPResponse) -> tuple[bytes, bool]:
    """All that comes, even if a reset ends it, and whether it is as long as was announced."""
    announced = response.length
    received = b""
    try:
        while received_less(received, announced) and (block := response.read1(65536)):
            received += block
    except (IncompleteRead, ConnectionError):
        return received, False
    return received, not received_less(received, announced) or announced is None


def received_less(received: bytes, announced: int | None) -> bool:
    """Whether there is more to come."""
    return announced is None or len(received) < announced


@contextlib.contextmanager
def connected(address: tuple[str, int]) -> Iterator[socket.socket]:
    """A bare connection."""
    with socket.create_connection(address, timeout=TIMEOUT) as connection:
        yield connection


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    """Reads until ``wanted`` has come; fails with what came in its place."""
    received = b""
    while wanted not in received:
        block = connection.recv(65536)
        assert block, f"the connection ended before {wanted!r} came: {received!r}"
        received += block
    return received


def read_all(connection: socket.socket) -> bytes:
    """Reads to the end of the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while block := connection.recv(65536):
            received += block
    return received


def reset(connection: socket.socket) -> None:
    """Ends a connection as a client that vanishes: with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
