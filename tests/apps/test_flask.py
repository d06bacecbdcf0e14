"""A Flask site in our layers works under every kind of server."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.browser import browser
from support.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from support.servers import Served

BIG = bytes(range(256)) * 12_000


@pytest.fixture
def site(server: Callable[[str], Served]) -> Iterator[httpx.Client]:
    """A browser, so to speak."""
    with browser(server("apps.flask_site:application")) as client:
        yield client


def test_a_page_comes_with_its_query(site: httpx.Client) -> None:
    reply = site.get("/", params={"name": "Zoë & co"})
    assert (reply.status_code, reply.text) == (200, "Hello, Zoë & co!")


def test_the_view_knows_the_request_id_of_the_response(site: httpx.Client) -> None:
    reply = site.get("/id")
    assert reply.text == reply.headers["X-Request-Id"]
    assert len(reply.text) == 36


def test_a_streamed_page_keeps_its_request_and_comes_block_by_block(site: httpx.Client) -> None:
    with Gate() as gate:
        asked = {"name": "you", "gate": str(gate.port)}
        with site.stream("GET", "/stream", params=asked, headers={"Connection": "close"}) as reply:
            blocks = reply.iter_raw()
            assert next(blocks) == b"first for you|"
            gate.reached()
            gate.open()
            assert b"".join(blocks) == b"second"


@pytest.mark.parametrize("content", [b"", b"small", BIG], ids=["empty", "small", "big"])
def test_an_upload_arrives_byte_for_byte(site: httpx.Client, content: bytes) -> None:
    reply = site.post("/upload", files={"file": ("dæta.bin", content)}, data={"note": "für später"})
    assert reply.json() == {
        "name": "dæta.bin",
        "size": len(content),
        "digest": hashlib.sha256(content).hexdigest(),
        "note": "für später",
    }


def test_cookies_and_sessions_last_from_request_to_request(site: httpx.Client) -> None:
    assert site.get("/whoami").json() == {"user": None, "seen": None}
    reply = site.post("/log-in", data={"user": "ada"})
    assert (reply.status_code, len(reply.headers.get_list("Set-Cookie"))) == (303, 2)
    assert site.get("/whoami").json() == {"user": "ada", "seen": "yes"}


def test_a_file_comes_whole_in_part_and_not_again(site: httpx.Client) -> None:
    own = Path(__file__).with_name("flask_site.py").read_bytes()
    whole = site.get("/file")
    assert (whole.status_code, whole.content, whole.headers["Content-Length"]) == (200, own, str(len(own)))
    part = site.get("/file", headers={"Range": "bytes=5-14"})
    assert (part.status_code, part.content) == (206, own[5:15])
    assert site.get("/file", headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304


def test_errors_are_flasks_own(site: httpx.Client) -> None:
    assert (site.get("/refuse").status_code, site.get("/nowhere").status_code) == (418, 404)
    assert site.post("/").status_code == 405
    assert "Internal Server Error" in site.get("/fault").text


def test_a_head_request_has_the_length_of_the_page(site: httpx.Client) -> None:
    assert site.head("/", headers={"Connection": "close"}).headers["Content-Length"] == "17"


def test_paths_and_hosts_are_what_was_asked_for(site: httpx.Client) -> None:
    shown = site.request("DELETE", "/path/caf%C3%A9/a%20b", headers={"Host": "shop.example"}).json()
    assert shown == {"rest": "café/a b", "method": "DELETE", "url": "http://shop.example/path/café/a%20b"}
