"""What the tests of Session share: an application with sessions, and a client that keeps its cookies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onionskin import Session
from support.both_doors import serving
from support.client import Reply, ask
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "for-tests-only: kP2vN8xQ4mT7wR1zL5cB9hF3jD6gS0yA"


class Client:
    """A browser of one tab: it asks an application through one of the doors, and keeps its cookies."""

    def __init__(self, door: str, view: Callable[..., Any], **options: Any) -> None:
        self.door = door
        self.app = Session(application(view), secret=[SECRET], **options)
        self.cookies: dict[str, str] = {}

    def ask(self, path: str = "/") -> Reply:
        """One request."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = [("Cookie", cookie)] if cookie else []
        if self.door == "native":
            with serving(self.app) as place:
                reply = ask(place, path, headers=headers)
        else:
            outcome = run(self.app, make_environ(path, HTTP_COOKIE=cookie or None))
            status, reason = outcome.status.split(" ", 1)
            reply = Reply(int(status), reason, outcome.headers, outcome.body, True)
        for cookie in reply.get_all("Set-Cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            if "Max-Age=0" in cookie:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return reply


def application(view: Callable[..., Any]) -> Any:
    """What ``view`` gives for a session and a path, shown, is the answer."""

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        answer = view(environ["onionskin.session"], environ["PATH_INFO"])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [repr(answer).encode()]

    return call
