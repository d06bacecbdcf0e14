"""A server that does what it is told to, to the byte: what stands behind a proxy that is tested.

with upstream(lambda peer: peer.answer(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")) as up:
    Proxy(target=up.url)
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE = 10.0


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)

    def get_all(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a header that may come once."""
        values = self.get_all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None

    @property
    def path(self) -> str:
        """The request target."""
        return self.line.split(" ")[1]


class Peer:
    """One connection, from the target's side."""

    def __init__(self, connection: socket.socket, up: Upstream) -> None:
        self.socket = connection
        self.up = up
        self.buffer = b""

    def head(self) -> Asked:
        """Reads one request head. ``EOFError`` if there is none."""
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        asked = Asked(line, headers, b"")
        self.up.asked.append(asked)
        return asked

    def request(self) -> Asked:
        """Reads one request with its body."""
        asked = self.head()
        if asked.get("transfer-encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
        else:
            body = self.take(int(asked.get("content-length") or 0))
        whole = Asked(asked.line, asked.headers, body)
        self.up.asked[self.up.asked.index(asked)] = whole
        return whole

    def chunk(self) -> bytes:
        """Reads one chunk; the last one is empty."""
        while b"\r\n" not in self.buffer:
            self.fill()
        size, _, self.buffer = self.buffer.partition(b"\r\n")
        block = self.take(int(size, 16))
        assert self.take(2) == b"\r\n"
        return block

    def take(self, size: int) -> bytes:
        """Reads so many bytes."""
        while len(self.buffer) < size:
            self.fill()
        block, self.buffer = self.buffer[:size], self.buffer[size:]
        return block

    def fill(self) -> None:
        """Reads what there is."""
        block = self.socket.recv(1 << 16)
        if not block:
            raise EOFError
        self.buffer += block

    def send(self, data: bytes) -> None:
        """Writes bytes as they are."""
        self.socket.sendall(data)

    def answer(self, data: bytes) -> None:
        """Reads a request, and answers with bytes as they are."""
        self.request()
        self.send(data)

    def ended(self) -> bool:
        """Waits for the other side to go away."""
        try:
            return not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def reset(self) -> None:
        """Ends the connection with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Upstream:
    """Listens, and has each connection served by ``script`` on a thread of its own, over and over again."""

    def __init__(
        self,
        script: Callable[[Peer], object],
        listener: socket.socket,
        url: str,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.tls = tls
        self.script = script
        self.listener = listener
        self.url = url
        self.asked: list[Asked] = []
        self.connections = 0
        self.closed = 0
        self.open: list[socket.socket] = []
        self.thread = threading.Thread(target=self.accept, daemon=True)

    def accept(self) -> None:
        """Until the listener is closed."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            self.connections += 1
            self.open.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        """One connection, until either side is done."""
        with contextlib.suppress(EOFError, OSError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            if self.tls is not None:
                connection = stack.enter_context(self.tls.wrap_socket(connection, server_side=True))
                self.open.append(connection)
            peer = Peer(connection, self)
            while connection.fileno() >= 0:
                if self.script(peer) is CLOSE:
                    break
        self.closed += 1


def wait_until(holds: Callable[[], bool], timeout: float = PATIENCE) -> None:
    """Waits for what cannot tell that it has happened."""
    due = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < due, "waited in vain"
        time.sleep(0.005)


CLOSE = object()
"""What a script returns to have its connection closed."""


@contextlib.contextmanager
def upstream(
    script: Callable[[Peer], object], path: Path | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Upstream]:
    """An upstream on a free port, with TLS if it is given, or on a Unix socket at ``path``."""
    if path is None:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        url = f"unix:{path}"
    up = Upstream(script, listener, url, tls)
    up.thread.start()
    try:
        yield up
    finally:
        # A thread in accept() keeps a listener alive that is only closed.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in up.open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        up.thread.join(PATIENCE)


def response(body: bytes = b"from upstream", status: str = "200 OK", **headers: str) -> bytes:
    """A well-formed response."""
    fields = {"content_type": "text/plain", "content_length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-').title()}: {value}" for name, value in fields.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1") + body
