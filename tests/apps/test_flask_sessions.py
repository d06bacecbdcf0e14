"""Flask's session kept by Session, under every kind of server."""

from __future__ import annotations

import decimal
import re
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from flask import Flask, session
from flask.json.tag import TaggedJSONSerializer
from werkzeug.middleware.proxy_fix import ProxyFix

from apps.flask_sessions import TYPES
from apps.flask_sessions import app as flask_app
from onionskin import Onion, RequestId, Session
from onionskin.flask import SessionInterface
from support.browser import browser
from support.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.servers import Served

SECRET = ["for-tests-only: kP2vN8xQ4mT7wR1zL5cB9hF3jD6gS0yA"]


@pytest.fixture
def site(server: Callable[[str], Served]) -> Iterator[httpx.Client]:
    """A browser, so to speak."""
    with browser(server("apps.flask_sessions:application")) as client:
        yield client


def test_a_count_goes_up(site: httpx.Client) -> None:
    assert [site.get("/count").text for _ in range(3)] == ["1", "2", "3"]
    assert [cookie.name for cookie in site.cookies.jar] == ["sid"]


def test_a_page_that_does_not_use_its_session_has_no_trace_of_it(site: httpx.Client) -> None:
    site.get("/count")
    headers = site.get("/untouched").headers
    assert not {"vary", "set-cookie", "cache-control"} & set(headers)


def test_changes_deep_inside_need_no_flag(site: httpx.Client) -> None:
    site.post("/cart", data={"item": "a"})
    assert site.post("/cart", data={"item": "ü"}).json() == ["a", "ü"]


def test_one_logs_in_and_out_with_all_types_that_flask_knows(site: httpx.Client) -> None:
    site.get("/count")
    before = site.cookies["sid"]
    site.post("/log-in", data={"user": "ada"})
    assert site.cookies["sid"] != before
    assert site.get("/whoami").json() == {
        "session": {
            "count": "1",
            "user": "'ada'",
            "at": "datetime.datetime(2026, 11, 22, 10, 30, tzinfo=datetime.timezone.utc)",
            "pair": "(1, b'two')",
        },
        "new": False,
        "flashes": [["info", "welcome"]],
    }
    assert site.get("/whoami").json()["flashes"] == []
    site.post("/log-out")
    assert site.get("/whoami").json() == {"session": {}, "new": True, "flashes": []}
    assert not site.cookies


def test_a_stream_saves_its_session_with_its_head(site: httpx.Client) -> None:
    assert site.get("/stream").text == "ab"
    assert site.get("/whoami").json()["session"] == {"streamed": "True"}


def flasks_own(values: dict[Any, Any]) -> dict[str, str]:
    """How values come back from Flask's own session."""
    plain = Flask(__name__)
    plain.json.sort_keys = False  # type: ignore[attr-defined]
    with plain.app_context():
        types = TaggedJSONSerializer()
        back = {key: types.loads(types.dumps({"value": value}))["value"] for key, value in values.items()}
    return {str(key): repr(value) for key, value in back.items()}


def test_every_type_comes_back_as_from_flasks_own_session(site: httpx.Client) -> None:
    site.post("/types")
    assert site.get("/types").json() == flasks_own(TYPES)
    # Nothing has changed by coming back.
    assert "set-cookie" not in site.get("/types").headers


def test_a_permanent_session_lasts_as_long_as_flask_says_and_outlives_the_browser(site: httpx.Client) -> None:
    # A second may pass from the beginning of the session to its end.
    assert re.search(r"; Max-Age=26(78400|783\d\d)$", site.post("/remember/31").headers["set-cookie"])
    assert site.get("/whoami").json()["session"] == {"user": "'ada'"}
    assert "Max-Age" not in site.post("/remember/0").headers["set-cookie"]


def test_parallel_requests_of_one_visitor_are_all_kept(server: Callable[[str], Served], kind: str) -> None:
    if kind in ("wsgiref", "gunicorn"):
        pytest.skip("it takes one request at a time")
    served = server("apps.flask_sessions:application")
    with browser(served) as client:
        client.get("/count")
        cookie = {"Cookie": f"sid={client.cookies['sid']}"}
        replies: list[httpx.Response] = []

        def get(key: str) -> None:
            replies.append(httpx.get(f"{served.url}/together/{key}", headers=cookie, timeout=20))

        threads = [threading.Thread(target=get, args=(key,)) for key in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [reply.status_code for reply in replies] == [200] * 4
        seen = client.get("/whoami").json()["session"]
        assert seen == {"count": "1", **dict.fromkeys("abcd", "True")}


def test_an_overwritten_value_is_logged_at_debug_and_neither_below_nor_with_its_value(tmp_path: Path) -> None:
    servers = Servers(tmp_path)
    try:
        for level in ("debug", "info"):
            server = servers.get("native", "apps.flask_sessions:application", ONIONSKIN_ERROR_LOG_LEVEL=level)
            cookie = server.ask("/count").get_all("Set-Cookie")[0].partition(";")[0]
            paths = [f"/together/same?value=hidden-{number}" for number in range(4)]
            threads = [
                threading.Thread(target=server.ask, args=(path,), kwargs={"headers": [("Cookie", cookie)]})
                for path in paths
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
            server.stop()
            told = server.log().count(
                'another request has changed "same", too; it is overwritten, on GET /together'
            )
            assert told == (3 if level == "debug" else 0)
            assert "hidden" not in server.log()
    finally:
        servers.stop()


def bare() -> Flask:
    """An application with our sessions, and without a layer around it."""
    app = Flask(__name__)
    app.session_interface = SessionInterface()

    @app.route("/count")
    def count() -> str:
        session["count"] = session.get("count", 0) + 1
        return str(session["count"])

    @app.route("/untouched")
    def untouched() -> str:
        return "untouched"

    @app.route("/log-out")
    def log_out() -> str:
        session.invalidate()  # type: ignore[attr-defined]
        return "out"

    return app


def test_without_the_layer_a_served_application_says_what_to_do() -> None:
    app = bare()
    app.config["PROPAGATE_EXCEPTIONS"] = True
    client = app.test_client()
    assert client.get("/untouched").text == "untouched"
    with pytest.raises(RuntimeError, match="no Session layer around the application; expected app"):
        client.get("/count")


def test_a_request_context_has_a_session_without_the_layer() -> None:
    for app in (bare(), flask_app):
        with app.test_request_context("/"):
            session["user"] = ("ada", b"lovelace")
            assert session["user"] == ("ada", b"lovelace")
            assert session.new


@pytest.fixture(params=["without a layer", "in a layer", "in a layer with a store", "in other middleware"])
def tested(request: pytest.FixtureRequest, tmp_path: Path) -> Flask:
    """An application in a test."""
    app = bare()
    app.testing = True
    store = f"sqlite:{tmp_path / 'sessions'}" if "store" in request.param else "cookie"
    if request.param != "without a layer":
        app.wsgi_app = Onion(RequestId(), Session(secret=SECRET, store=store))(app.wsgi_app)  # type: ignore[method-assign]
    if "other" in request.param:
        app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    return app


def test_flasks_test_client_keeps_the_session(tested: Flask) -> None:
    with tested.test_client() as client:
        assert [client.get("/count").text for _ in range(2)] == ["1", "2"]
        assert session["count"] == 2


def test_a_session_transaction_prepares_and_checks_a_session(tested: Flask) -> None:
    client = tested.test_client()
    with client.session_transaction() as prepared:
        prepared["count"] = 41
        prepared["kept"] = (1, decimal.Decimal("1.5"))
    assert client.get("/count").text == "42"
    with client.session_transaction() as after:
        assert dict(after) == {"count": 42, "kept": (1, "1.5")}
        after.clear()
    assert client.get("/count").text == "1"
    client.get("/log-out")
    with client.session_transaction() as gone:
        assert (dict(gone), gone.new) == ({}, True)


def test_a_page_that_does_not_use_its_session_is_untouched_in_tests_too(tested: Flask) -> None:
    reply = tested.test_client().get("/untouched")
    assert not {"Vary", "Set-Cookie", "Cache-Control"} & set(reply.headers.keys())


def test_a_page_outside_of_the_layer_has_no_session_in_tests_either() -> None:
    app = bare()
    app.testing = True
    app.wsgi_app = Session(app.wsgi_app, secret=SECRET, unless={"path": "/count"})  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="no Session layer around"):
        app.test_client().get("/count")
