"""A Pyramid site in our layers works under every kind of server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.browser import browser
from support.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from support.servers import Served


@pytest.fixture
def site(server: Callable[[str], Served]) -> Iterator[httpx.Client]:
    """A browser, so to speak."""
    with browser(server("apps.pyramid_site:application")) as client:
        yield client


def test_a_page_comes_with_its_path(site: httpx.Client) -> None:
    assert site.get("/hello/Zo%C3%AB").text == "Hello, Zoë!"


def test_the_view_knows_the_request_id_of_the_response(site: httpx.Client) -> None:
    reply = site.get("/id")
    assert reply.json() == {"id": reply.headers["X-Request-Id"]}


def test_a_streamed_page_comes_block_by_block(site: httpx.Client) -> None:
    with Gate() as gate:
        asked = {"gate": str(gate.port)}
        with site.stream("GET", "/stream", params=asked, headers={"Connection": "close"}) as reply:
            blocks = reply.iter_raw()
            assert next(blocks) == b"first|"
            gate.reached()
            gate.open()
            assert b"".join(blocks) == b"second"


def test_an_upload_arrives_byte_for_byte(site: httpx.Client) -> None:
    content = bytes(range(256)) * 8_000
    reply = site.post("/upload", files={"file": ("data.bin", content)})
    assert reply.json() == {"name": "data.bin", "size": len(content), "sum": sum(content)}


def test_a_session_lasts_and_a_redirect_leads_to_this_server(site: httpx.Client) -> None:
    assert site.get("/whoami").json() == {"user": None}
    reply = site.post("/log-in", data={"user": "ada"}, follow_redirects=True)
    assert (reply.url.path, reply.json()) == ("/whoami", {"user": "ada"})


def test_a_file_comes_by_the_servers_file_wrapper(site: httpx.Client) -> None:
    own = Path(__file__).with_name("pyramid_site.py").read_bytes()
    reply = site.get("/file")
    assert (reply.content, reply.headers["Content-Length"]) == (own, str(len(own)))


def test_errors_are_pyramids_own(site: httpx.Client) -> None:
    assert (site.get("/refuse").status_code, site.get("/nowhere").status_code) == (401, 404)


@pytest.mark.filterwarnings("ignore:'cgi' is deprecated:DeprecationWarning")
def test_webtest_takes_the_layers_for_an_application() -> None:
    # Imported here for the warning: WebOb uses a module that is gone from Python 3.13. WebTest brings a lint.
    from webtest import TestApp

    from apps import pyramid_site

    app = TestApp(pyramid_site.application, extra_environ={"REMOTE_ADDR": "127.0.0.1"})
    reply = app.get("/id")
    assert reply.json == {"id": reply.headers["X-Request-Id"]}
    assert app.get("/refuse", status=401).status_int == 401
    assert app.post("/log-in", {"user": "ada"}).follow().json == {"user": "ada"}
    stranger = TestApp(pyramid_site.application, extra_environ={"REMOTE_ADDR": "192.0.2.1"})
    assert stranger.get("/id", status=403).text == "You are forbidden to view this resource"
