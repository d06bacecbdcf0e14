"""Sessions without a server, for the test clients of Flask and Django: they call an application directly."""

from __future__ import annotations

import io
import secrets
import sys
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any

from onionskin._core import Layer, SessionTransaction
from onionskin.layers import Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from onionskin._core import SessionMapping

__all__ = ["MemorySessions", "find_layer", "save"]

MOST_LAYERS = 100


def find_layer(app: Any) -> Layer | None:
    """The ``Session`` among the layers and middleware around an application, from the outside in."""
    for _ in range(MOST_LAYERS):
        if isinstance(app, Layer) and app.name == "session":
            return app
        app = app.app if isinstance(app, Layer) else inside(app)
    return None


def inside(middleware: Any) -> Any:
    """The application inside of a middleware, by the names that most middleware has for it."""
    attributes = getattr(middleware, "__dict__", {})
    found = (attributes.get(name) for name in ("app", "wsgi_app", "application"))
    return next((app for app in found if callable(app)), None)


def save(
    transaction: SessionTransaction, status: int = 200, headers: Iterable[tuple[str, str]] = ()
) -> list[tuple[str, str]]:
    """Saves a session, and returns the headers that the layer adds to a response or changes in it.

    Raises:
        RuntimeError: The layer would not have sent the response: the log says why.
    """
    ours = [(name, value) for name, value in headers if name.lower() in ("vary", "cache-control")]
    answered, made = transaction.finish(status, ours)
    if answered != status:
        raise RuntimeError(f"Session: the session is not saved, and the response is {answered}; see the log")
    return made


class MemorySessions:
    """Sessions in the memory of this process, for an application without a layer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.layer = Session(secret=[secrets.token_urlsafe(32)], name=name, secure=False, store="memory")
        self.sealed: dict[str, str] = {}

    def open(self, key: str | None = None) -> SessionTransaction:
        """The session of this key, or a new one."""
        sealed = self.sealed.get(key) if key is not None else None
        cookie = {} if sealed is None else {"HTTP_COOKIE": f"{self.name}={sealed}"}
        return SessionTransaction(self.layer, {**ENVIRON, "wsgi.input": io.BytesIO(), **cookie})

    def save(
        self, transaction: SessionTransaction, status: int = 200, headers: Iterable[tuple[str, str]] = ()
    ) -> tuple[str | None, list[tuple[str, str]]]:
        """Saves a session. Returns its key, or None if it has ended; and the headers for the response."""
        headers = save(transaction, status, headers)
        session = mapping_of(transaction)
        for _, cookie in (header for header in headers if header[0] == "set-cookie"):
            morsel = SimpleCookie(cookie)[self.name]
            if morsel["max-age"] == "0":
                return None, headers
            self.sealed[session.id] = morsel.value
        return (session.id if session.id in self.sealed else None), headers


def mapping_of(transaction: SessionTransaction) -> SessionMapping:
    """The session of a transaction whose layer is there for every request."""
    assert transaction.session is not None
    return transaction.session


ENVIRON: Mapping[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}
