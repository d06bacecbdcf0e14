"""A Django site in our layers works under every kind of server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.browser import browser
from support.gate import Gate
from support.servers import TESTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from support.servers import Servers

TARGET = "apps.django_site:application"


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the site's database."""
    directory = tmp_path_factory.mktemp("django")
    variables = {**os.environ, "DJANGO_DIRECTORY": str(directory), "PYTHONPATH": str(TESTS)}
    made = "import apps.django_site; apps.django_site.prepare()"
    subprocess.run([sys.executable, "-c", made], env=variables, check=True, timeout=60)
    return directory


@pytest.fixture
def site(servers: Servers, kind: str, data: Path) -> Iterator[httpx.Client]:
    """A browser, so to speak."""
    server = servers.get(kind, TARGET, DJANGO_DIRECTORY=str(data))
    with browser(server) as client:
        yield client


def token(page: str) -> str:
    """The token of a form."""
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


def test_a_page_comes_with_its_query(site: httpx.Client) -> None:
    assert site.get("/", params={"name": "Zoë & co"}).text == "Hello, Zoë & co!"


def test_the_view_knows_the_request_id_of_the_response(site: httpx.Client) -> None:
    reply = site.get("/id/caf%C3%A9?a=%20")
    assert reply.json() == {"id": reply.headers["X-Request-Id"], "path": "/id/caf%C3%A9?a=%20"}


def test_one_logs_in_to_the_admin_and_adds_a_group(site: httpx.Client) -> None:
    login = site.get("/admin/", follow_redirects=True)
    assert login.url.path == "/admin/login/"
    fields = {"username": "ada", "password": "lovelace", "csrfmiddlewaretoken": token(login.text)}
    inside = site.post(str(login.url), data=fields, follow_redirects=True)
    assert "Site administration" in inside.text
    add = site.get("/admin/auth/group/add/")
    fields = {"name": f"group of {os.urandom(8).hex()}", "csrfmiddlewaretoken": token(add.text)}
    added = site.post("/admin/auth/group/add/", data=fields, follow_redirects=True)
    assert "was added successfully" in added.text
    assert fields["name"] in added.text


def test_a_wrong_password_does_not_open_the_admin(site: httpx.Client) -> None:
    login = site.get("/admin/login/")
    fields = {"username": "ada", "password": "wrong", "csrfmiddlewaretoken": token(login.text)}
    assert "Please enter the correct" in site.post("/admin/login/", data=fields).text
    assert site.get("/admin/").status_code == 302


def test_a_form_needs_its_token(site: httpx.Client) -> None:
    secret = site.get("/form").text
    assert site.post("/form", data={"a": "b"}).status_code == 403
    sent = site.post("/form", data={"a": "ö", "csrfmiddlewaretoken": secret})
    assert sent.json()["a"] == "ö"
    assert site.post("/form", data={"a": "c"}, headers={"X-CSRFToken": secret}).json() == {"a": "c"}


@pytest.mark.parametrize("blocks", [1, 16_000], ids=["small", "big"])
def test_an_upload_arrives_byte_for_byte(site: httpx.Client, blocks: int) -> None:
    content = bytes(range(256)) * blocks
    headers = {"X-CSRFToken": site.get("/form").text}
    reply = site.post("/upload", files={"file": ("data.bin", content)}, headers=headers)
    assert reply.json() == {"name": "data.bin", "size": len(content), "sum": sum(content)}


def test_static_files_come_with_their_type_and_date(site: httpx.Client) -> None:
    reply = site.get("/static/admin/css/base.css")
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, "text/css")
    assert reply.content.startswith(b"/*")
    assert len(reply.content) == int(reply.headers["Content-Length"])
    again = site.get(
        "/static/admin/css/base.css", headers={"If-Modified-Since": reply.headers["Last-Modified"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert site.get("/static/no/such.css").status_code == 404


def test_a_stream_comes_block_by_block(site: httpx.Client) -> None:
    with Gate() as gate:
        asked = {"gate": str(gate.port)}
        with site.stream("GET", "/stream", params=asked, headers={"Connection": "close"}) as reply:
            blocks = reply.iter_raw()
            assert next(blocks) == b"first|"
            gate.reached()
            gate.open()
            assert b"".join(blocks) == b"second"


def test_a_file_comes_by_the_servers_file_wrapper(site: httpx.Client) -> None:
    own = Path(__file__).with_name("django_site.py").read_bytes()
    reply = site.get("/file")
    assert (reply.content, reply.headers["Content-Length"]) == (own, str(len(own)))


def test_errors_are_djangos_own(site: httpx.Client) -> None:
    assert site.get("/nowhere").status_code == 404
    reply = site.get("/fault")
    assert (reply.status_code, "RuntimeError at /fault" in reply.text) == (500, True)
    assert site.get("/", headers={"Host": "stranger.example"}).status_code == 400
