"""WSGI calls in this process: a hand-made environ, and a ``start_response`` that keeps what it was given."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def make_environ(
    path: str = "/", method: str = "GET", body: bytes | None = None, **changes: Any
) -> dict[str, Any]:
    """An environ with what PEP 3333 demands, and no more. ``changes`` come last; None takes a key away."""
    path, _, query = path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "example.org",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "example.org",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body or b""),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
    environ.update(changes)
    return {key: value for key, value in environ.items() if value is not None}


@dataclass
class Recorder:
    """A server's ``start_response``: every call is kept, the data of ``write()`` too."""

    calls: list[tuple[str, list[tuple[str, str]], Any]] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    head_is_sent: bool = False
    """Whether a replacement comes too late, as for a server that has sent something."""

    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if exc_info is None:
            assert not self.calls, "start_response was called again without exc_info"
        elif self.head_is_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        self.calls.append((status, headers, exc_info))
        return self.written.append

    @property
    def status(self) -> str:
        """The status that counts: of the last call."""
        return self.calls[-1][0]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that count: of the last call."""
        return self.calls[-1][1]

    def get_all(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of a header that may come once."""
        values = self.get_all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None


@dataclass
class Outcome:
    """What a call came to."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes
    environ: dict[str, Any]


def run(app: Any, environ: dict[str, Any] | None = None) -> Outcome:
    """Calls ``app`` as a server does, to the end."""
    environ = make_environ() if environ is None else environ
    start_response = Recorder()
    iterable = app(environ, start_response)
    try:
        blocks = take(iterable)
    finally:
        close(iterable)
    body = b"".join(start_response.written) + b"".join(blocks)
    return Outcome(start_response.status, start_response.headers, body, environ)


def take(iterable: Iterable[bytes]) -> list[bytes]:
    """All blocks."""
    return list(iterable)


def close(iterable: Any) -> None:
    """Calls ``close()`` if there is one."""
    if hasattr(iterable, "close"):
        iterable.close()


class Blocks:
    """An iterable that is not its own iterator, and counts how often each of the two is closed."""

    def __init__(self, *blocks: bytes) -> None:
        self.blocks = blocks
        self.iterated = 0
        self.closed = 0
        self.iterator_closed = 0

    def __iter__(self) -> Steps:
        self.iterated += 1
        return Steps(self)

    def close(self) -> None:
        """The one that a server must call."""
        self.closed += 1


class Steps:
    """The iterator of ``Blocks``; nobody should close it."""

    def __init__(self, whole: Blocks) -> None:
        self.whole = whole
        self.rest = iter(whole.blocks)

    def __iter__(self) -> Steps:
        return self

    def __next__(self) -> bytes:
        return next(self.rest)

    def close(self) -> None:
        """The wrong one."""
        self.whole.iterator_closed += 1
