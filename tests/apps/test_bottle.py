"""A Bottle site in our layers works under every kind of server."""

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
    with browser(server("apps.bottle_site:application")) as client:
        yield client


def test_a_page_comes_with_its_path(site: httpx.Client) -> None:
    assert site.get("/hello/Zo%C3%AB").text == "Hello, Zoë!"


def test_the_view_knows_the_request_id_of_the_response(site: httpx.Client) -> None:
    reply = site.get("/json")
    assert reply.json() == {"id": reply.headers["X-Request-Id"]}


def test_a_generator_that_sets_headers_streams(site: httpx.Client) -> None:
    with Gate() as gate:
        asked = {"gate": str(gate.port)}
        with site.stream("GET", "/stream", params=asked, headers={"Connection": "close"}) as reply:
            assert reply.headers["X-Late"] == "yes"
            blocks = reply.iter_raw()
            assert next(blocks) == b"first|"
            gate.reached()
            gate.open()
            assert b"".join(blocks) == b"second"


def test_an_upload_arrives_byte_for_byte(site: httpx.Client) -> None:
    content = bytes(range(256)) * 8_000
    reply = site.post("/upload", files={"file": ("data.bin", content)})
    assert reply.json() == {"name": "data.bin", "size": len(content), "sum": sum(content)}


def test_a_body_arrives_as_it_was_sent(site: httpx.Client) -> None:
    assert site.post("/body", content=b"\x00\xff\r\n").content == b"\x00\xff\r\n"


def test_signed_cookies_last_from_request_to_request(site: httpx.Client) -> None:
    assert [site.get("/count").text for _ in range(3)] == ["1", "2", "3"]


def test_a_file_comes_whole_and_in_part(site: httpx.Client) -> None:
    own = Path(__file__).with_name("bottle_site.py").read_bytes()
    assert site.get("/file").content == own
    part = site.get("/file", headers={"Range": "bytes=5-14"})
    assert (part.status_code, part.content) == (206, own[5:15])


def test_errors_are_bottles_own(site: httpx.Client) -> None:
    assert (site.get("/refuse").status_code, site.get("/nowhere").status_code) == (401, 404)
    assert site.get("/fault").status_code == 500
