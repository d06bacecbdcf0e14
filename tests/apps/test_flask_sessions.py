"""Flask's session kept by Session, under every kind of server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flask import session

from apps.flask_sessions import app
from support.browser import browser

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from support.servers import Served


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


def test_without_the_layer_flask_says_what_to_do_when_something_is_stored() -> None:
    with app.test_request_context("/"):
        assert session.get("user") is None
        with pytest.raises(RuntimeError, match="there is no Session around the application; write app"):
            session["user"] = "ada"


def test_flasks_own_test_client_keeps_the_session() -> None:
    with app.test_client() as client:
        assert [client.get("/count").text for _ in range(2)] == ["1", "2"]
