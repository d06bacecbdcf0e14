"""Django's sessions kept by Session, under every kind of server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.browser import browser
from support.servers import TESTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

    from support.servers import Servers


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the site's databases."""
    directory = tmp_path_factory.mktemp("django-sessions")
    variables = {**os.environ, "DJANGO_DIRECTORY": str(directory), "PYTHONPATH": str(TESTS)}
    made = "import apps.django_sessions; apps.django_sessions.prepare()"
    subprocess.run([sys.executable, "-c", made], env=variables, check=True, timeout=60)
    return directory


@pytest.fixture
def site(servers: Servers, kind: str, data: Path) -> Iterator[httpx.Client]:
    """A browser, so to speak."""
    server = servers.get(kind, "apps.django_sessions:application", DJANGO_DIRECTORY=str(data))
    with browser(server) as client:
        yield client


def token(page: str) -> str:
    """The token of a form."""
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


def log_in(site: httpx.Client, password: str = "lovelace") -> str:
    """The page that follows."""
    login = site.get("/admin/login/?next=/admin/")
    fields = {"username": "ada", "password": password, "csrfmiddlewaretoken": token(login.text)}
    return site.post("/admin/login/?next=/admin/", data=fields, follow_redirects=True).text


def test_logging_in_rotates_the_session_and_logging_out_ends_it(site: httpx.Client) -> None:
    site.get("/cart", params={"item": "a"})
    before = dict(site.cookies)
    assert "Site administration" in log_in(site)
    inside = dict(site.cookies)
    assert before["sid"] != inside["sid"]
    assert site.get("/cart", params={"item": "b"}).json()["cart"] == ["a", "b"]

    page = site.get("/admin/").text
    site.post("/admin/logout/", data={"csrfmiddlewaretoken": token(page)})
    assert site.get("/admin/").status_code == 302
    for old in (before, inside):
        # Whoever has copied a cookie has nothing.
        site.cookies.clear()
        site.cookies.update(old)
        assert site.get("/cart", params={"item": "c"}).json()["cart"] == ["c"]


def test_a_wrong_password_does_not_open_the_admin(site: httpx.Client) -> None:
    assert "Please enter the correct" in log_in(site, "wrong")
    assert site.get("/admin/").status_code == 302


def test_one_adds_a_group_and_is_told_so_by_a_message_from_the_session(site: httpx.Client) -> None:
    log_in(site)
    name = f"group of {os.urandom(8).hex()}"
    fields = {"name": name, "csrfmiddlewaretoken": token(site.get("/admin/auth/group/add/").text)}
    added = site.post("/admin/auth/group/add/", data=fields, follow_redirects=True).text
    assert "was added successfully" in added
    assert "was added successfully" not in site.get("/admin/auth/group/").text


def test_a_page_that_does_not_use_its_session_has_no_trace_of_it(site: httpx.Client) -> None:
    site.get("/cart", params={"item": "a"})
    headers = site.get("/untouched").headers
    assert not {"vary", "set-cookie", "cache-control"} & set(headers)


def test_a_session_key_is_there_once_something_is_kept(site: httpx.Client) -> None:
    assert site.get("/keys").json() == {"before": None, "after": None}
    created = site.get("/keys", params={"create": "1"}).json()["after"]
    assert len(created) == 64
    assert site.get("/keys").json() == {"before": created, "after": created}
    assert created not in str(site.cookies)


def test_a_session_may_have_an_expiry_of_its_own(site: httpx.Client) -> None:
    def choose(expiry: str) -> tuple[str, dict[str, object]]:
        reply = site.get("/expiry", params={"set": expiry})
        return reply.headers.get("set-cookie", ""), reply.json()

    cookie, seen = choose("seconds")
    assert "; Max-Age=300" in cookie
    assert seen == {"age": 300, "closes": False}
    for expiry in ("delta", "moment"):
        cookie, seen = choose(expiry)
        found = re.search(r"; Max-Age=(\d+)", cookie)
        assert found is not None
        assert 2591990 <= int(found[1]) <= 2592000
        assert seen["closes"] is False
    # With the browser, or as the layer says: both have no Max-Age.
    for expiry in ("closed", "seconds", "layer"):
        cookie, seen = choose(expiry)
    assert cookie.startswith("sid=")
    assert "Max-Age" not in cookie
    assert seen == {"age": 7200, "closes": True}
    choose("past")
    assert not site.cookies


def test_every_value_comes_back_as_from_djangos_json_serializer(site: httpx.Client) -> None:
    before = site.get("/values", params={"set": "1"}).json()["shown"]
    after = site.get("/values").json()["shown"]
    assert before["tuple"] == "(1, (2, 3))"
    assert after == {
        "tuple": "[1, [2, 3]]",
        "keys": "{'2': 'a', 'true': 'b', 'null': 'c', '1.5': 'd'}",
        "floats": "[inf, 1.5]",
        "text": repr("a\ud800\U0001f9c5"),
        "lazy": "'<b>'",
        "enum": "3",
        "7": "'an int key'",
    }
    assert site.get("/values").json()["shown"] == after


def test_djangos_own_test_client_works_without_the_layer(data: Path) -> None:
    variables = {**os.environ, "DJANGO_DIRECTORY": str(data), "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "apps.django_tests"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Ran \d\d tests", done.stderr, re.MULTILINE), done.stderr
