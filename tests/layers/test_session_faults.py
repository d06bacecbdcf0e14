"""Session: what goes wrong, and what the log tells of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import onionskin
from layers.session_client import SECRET, Client, application
from onionskin import Session
from support.both_doors import serving
from support.client import connected, read_all, read_until
from support.wsgi import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.smoke


def test_a_cookie_that_was_tampered_with_is_anonymous_and_told_in_the_log(
    client: Callable[..., Client], capfd: pytest.CaptureFixture[str]
) -> None:
    browser = client(lambda session, path: session.setdefault("user", path))
    browser.ask("/ada")
    value = browser.cookies["__Host-sid"]
    browser.cookies["__Host-sid"] = value[:-1] + ("A" if value[-1] != "A" else "B")
    capfd.readouterr()
    assert browser.ask("/mallory").text == "'/mallory'"
    log = capfd.readouterr().err
    assert log.startswith("onionskin: session: a cookie was not sealed here")
    assert "it is anonymous, on GET /mallory (host " in log
    assert value not in log


def change(session: Any) -> None:
    """A change that nobody is told of."""
    session["cart"].append("too late")


def set_twice(session: Any) -> None:
    """Two changes that are seen as they are made."""
    session["a"] = 1
    session["b"] = 1


@pytest.mark.parametrize(("before", "late"), [(True, change), (True, set_twice), (False, set_twice)])
def test_what_is_changed_after_the_head_is_told_in_the_log_once(
    door: str, before: bool, late: Callable[[Any], None], capfd: pytest.CaptureFixture[str]
) -> None:
    head_is_out = threading.Event()

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        session = environ["onionskin.session"]
        if before:
            session["cart"] = []
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"first"
        assert head_is_out.wait(10)
        late(session)
        yield b"second"

    layered = Session(lambda environ, start_response: app(environ, start_response), secret=SECRET)
    if door == "native":
        with serving(layered) as place, connected(place) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            read_until(connection, b"first")
            head_is_out.set()
            assert b"second" in read_all(connection)
    else:
        head_is_out.set()
        assert run(layered).body == b"firstsecond"
    assert capfd.readouterr().err.count("changed when the head had gone already") == 1


def test_what_a_failing_application_changed_is_not_saved(
    client: Callable[..., Client], capfd: pytest.CaptureFixture[str]
) -> None:
    def view(session: Any, path: str) -> Any:
        session["user"] = path
        if path == "/fault":
            raise RuntimeError("in the application")
        return session["user"]

    browser = client(view)
    browser.ask("/ada")
    cookies = dict(browser.cookies)
    if browser.door == "native":
        assert browser.ask("/fault").status == 500
    else:
        with pytest.raises(RuntimeError, match="in the application"):
            browser.ask("/fault")
    assert browser.cookies == cookies
    assert "it is not saved, for the application answered 500" in capfd.readouterr().err


def broken(door: str, path: Path, view: Callable[..., Any], **options: Any) -> Client:
    """A client with a good cookie of a store that has gone."""
    client = Client(door, lambda session, path: session.setdefault("user", "ada"), store=f"sqlite:{path}")
    client.ask()
    del client.app
    for file in path.parent.iterdir():
        file.unlink()
    path.mkdir()
    client.app = Session(application(view), secret=SECRET, store=f"sqlite:{path}", **options)
    return client


def test_a_store_that_is_down_is_refused(
    door: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def view(session: Any, path: str) -> Any:
        try:
            return session.get("user")
        except onionskin.SessionUnavailable:
            return "whatever the application makes of it"

    reply = broken(door, tmp_path / "sessions", view).ask()
    assert (reply.status, reply.text) == (503, "The session can't be had at the moment; try again later\n")
    assert "the store can't be read" in capfd.readouterr().err


def test_an_application_may_go_on_without_its_store(door: str, tmp_path: Path) -> None:
    def view(session: Any, path: str) -> Any:
        return session.setdefault("user", "nobody")

    browser = broken(door, tmp_path / "sessions", view, on_store_error="anonymous")
    reply = browser.ask()
    assert (reply.status, reply.text, reply.get("Set-Cookie")) == (200, "'nobody'", None)


def test_a_file_of_sessions_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "sessions"
    Client("outward", lambda session, path: session.setdefault("user", "ada"), store=f"sqlite:{path}").ask()
    assert path.stat().st_mode & 0o777 == 0o600
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert len(written) > 1000
    assert b"ada" not in written
