"""One application asked through either door, in this process: the answer, and what went to the log."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

from support.both_doors import serving
from support.client import ask
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from support.client import Reply
    from support.wsgi import Outcome

    Headers = Iterable[tuple[str, str]]


class Told:
    """An answer, and what was written to the log of the application's faults."""

    def __init__(self, answer: Reply | Outcome, log: str) -> None:
        self.status = int(str(answer.status)[:3])
        self.headers = {name.lower(): value for name, value in answer.headers}
        self.body = answer.body
        self.log = log

    @property
    def details(self) -> Any:
        """The problem details."""
        assert self.headers["content-type"] == "application/problem+json"
        return json.loads(self.body)


def native(app: Any, path: str = "/", method: str = "GET", headers: Headers = ()) -> Told:
    """Under our server."""
    with redirect_stderr(io.StringIO()) as log, serving(app) as place:
        reply = ask(place, path, method, headers=headers)
    return Told(reply, log.getvalue())


def outward(app: Any, path: str = "/", method: str = "GET", headers: Headers = ()) -> Told:
    """Under another server, which sees to PEP 3333."""
    keys: dict[str, Any] = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers}
    environ = make_environ(path, method, **keys)
    log = environ["wsgi.errors"]
    return Told(run(validator(app), environ), log.getvalue())


DOORS: dict[str, Callable[..., Told]] = {"native": native, "outward": outward}


def answering(
    status: str, body: Callable[[], Iterable[bytes]], *headers: tuple[str, str]
) -> Callable[..., Iterable[bytes]]:
    """An application with this one answer."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(status, [("Content-Type", "text/plain"), *headers])
        return body()

    return app
