"""A gate between the test and an application in another process, which waits there until the test opens it.

with Gate() as gate:
    request(f"/stream?gate={gate.port}")
    gate.reached()      # the application waits
    gate.open()         # it goes on
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

SECONDS = 8.0


class Gate:
    """The test's side."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(SECONDS)
        self.port: int = self.listener.getsockname()[1]
        self.connections: list[socket.socket] = []

    def reached(self) -> None:
        """Returns when an application waits at the gate."""
        self.connections.append(self.listener.accept()[0])

    def open(self) -> None:
        """Lets those go on that have reached the gate."""
        while self.connections:
            with self.connections.pop() as connection:
                connection.sendall(b"!")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for connection in self.connections:
            connection.close()
        self.listener.close()


def wait_at(port: int) -> bool:
    """The application's side: returns whether the test let it go on within the time."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
            return connection.recv(1) == b"!"
    except OSError:
        return False
