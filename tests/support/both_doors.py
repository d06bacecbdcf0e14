"""One application asked through either door, in this process.

The native door is our server on a thread; the outward door is a plain WSGI call, with the standard library's
validator on both sides.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from wsgiref.validate import validator

from onionskin.simple_server import make_server
from support.client import ask
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

STOP_SECONDS = 10


@dataclass(frozen=True)
class Seen:
    """An answer, and what the application inside was given: None if it was not called."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    environ: dict[str, Any] | None

    def get(self, name: str) -> str | None:
        """The value of a header that may come once."""
        values = [value for known, value in self.headers if known.lower() == name.lower()]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None


class Inside:
    """The application inside: it keeps the environ of its last call."""

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self.headers = {"Content-Type": "text/plain", **(headers or {})}
        self.environ: dict[str, Any] | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.environ = dict(environ)
        start_response("200 OK", list(self.headers.items()))
        return [b"inside"]


def outward(
    layered: Callable[[Any], Any],
    path: str = "/",
    *,
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
    address: str = "127.0.0.1",
    answers: Mapping[str, str] | None = None,
) -> Seen:
    """Through the outward door. ``layered`` puts the layers around the application inside."""
    environ = make_environ(path, method, REMOTE_ADDR=address)
    environ["PATH_INFO"] = unquote(environ["PATH_INFO"], "latin-1")
    environ["REQUEST_URI"] = path
    for name, value in headers:
        key = f"HTTP_{name.upper().replace('-', '_')}"
        joined = key in environ and key != "HTTP_HOST"
        environ[key] = f"{environ[key]},{value}" if joined else value
    inside = Inside(answers)
    outcome = run(validator(layered(validator(inside))), environ)
    return Seen(int(outcome.status[:3]), outcome.headers, outcome.body, inside.environ)


def native(
    layered: Callable[[Any], Any],
    path: str = "/",
    *,
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
    address: str = "127.0.0.1",
    answers: Mapping[str, str] | None = None,
) -> Seen:
    """Through our server: the layers run without Python."""
    inside = Inside(answers)
    given = list(headers)
    host = next((value for name, value in given if name.lower() == "host"), "example.org")
    others = [(name, value) for name, value in given if name.lower() != "host"]
    with serving(layered(inside)) as place:
        reply = ask(place, path, method, headers=others, host=host, source=address)
    return Seen(reply.status, reply.headers, reply.body, inside.environ)


@contextmanager
def serving(app: Any, threads: int = 1) -> Iterator[tuple[str, int]]:
    """Our server on a thread of this process, while the block runs; gives its address."""
    with make_server("127.0.0.1", 0, app, threads=threads) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address
        finally:
            server.shutdown()
            thread.join(STOP_SECONDS)
        assert not thread.is_alive()


DOORS: dict[str, Callable[..., Seen]] = {"native": native, "outward": outward}
