"""Session inside of Session: one session for one cookie, however many layers there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from layers.session_client import SECRET
from onionskin import Onion, Session
from support.both_doors import serving
from support.client import ask
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Callable


class Visits:
    """A Python middleware that counts in the session, before and after the application."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        session = environ["onionskin.session"]
        session["outer"] = True
        iterable = self.app(environ, start_response)
        assert session["inner"] is True
        return iterable


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    session = environ["onionskin.session"]
    session["inner"] = True
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(sorted(session)).encode()]


def cookies(headers: list[tuple[str, str]]) -> list[str]:
    return [value.partition("=")[0] for name, value in headers if name.lower() == "set-cookie"]


@pytest.mark.parametrize("between", [(), (Visits,)], ids=["adjacent", "separated"])
@pytest.mark.parametrize("door", ["native", "outward"])
def test_two_layers_for_one_cookie_have_one_session(
    between: tuple[Callable[..., Any], ...], door: str
) -> None:
    layered = Onion(Session(secret=[SECRET]), *between, Session(secret=[SECRET]))(application)
    if door == "native":
        with serving(layered) as place:
            reply = ask(place, "/")
            headers, body = reply.headers, reply.body
    else:
        outcome = run(layered, make_environ("/"))
        headers, body = outcome.headers, outcome.body

    assert cookies(headers) == ["__Host-sid"]
    assert body == (b"['inner', 'outer']" if between else b"['inner']")


def test_layers_for_different_cookies_have_a_session_each() -> None:
    layered = Onion(Session(secret=[SECRET]), Visits, Session(secret=[SECRET], name="other"))

    def without(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["onionskin.session"]["own"] = 1
        start_response("200 OK", [])
        return [repr(sorted(environ["onionskin.session"])).encode()]

    with pytest.raises(KeyError):  # The middleware looks for what only its own session could have.
        run(layered(without), make_environ("/"))
