"""StaticFiles under every kind of server, asked by clients that are not ours."""

from __future__ import annotations

import gzip
import os
import shutil
import socket
import subprocess
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from support.site import CHANGED, DIGITS, LARGE, STYLE, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.servers import Served, Servers

pytestmark = pytest.mark.smoke


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the served site."""
    root = tmp_path_factory.mktemp("site")
    put(root, "digits.txt", DIGITS)
    put(root, "large.bin", LARGE)
    put(root, "style.css", STYLE)
    put(root, "style.css.gz", gzip.compress(STYLE, mtime=0))
    with put(root, "sparse.bin", b"").open("r+b") as sparse:
        sparse.truncate(64 << 20)
    return root


@pytest.fixture
def served(server: Callable[..., Served], site: Path) -> Served:
    """The site, under every kind of server."""
    return server("layers.static_site:application", STATIC_ROOT=str(site))


@pytest.fixture
def native_site(servers: Servers, site: Path) -> Served:
    """The site, under our server."""
    return servers.get("native", "layers.static_site:application", STATIC_ROOT=str(site))


def test_every_server_sends_the_same(served: Served, native_site: Served) -> None:
    framing = {"date", "server", "connection", "keep-alive"}
    requests: list[tuple[str, str, dict[str, str]]] = [
        ("/large.bin", "GET", {}),
        ("/large.bin", "HEAD", {}),
        ("/large.bin", "GET", {"Range": "bytes=50000-90000"}),
        ("/style.css", "GET", {"Accept-Encoding": "gzip"}),
        ("/digits.txt", "GET", {"If-None-Match": "*"}),
        ("/digits.txt", "GET", {"Range": "bytes=10-"}),
        ("/none", "GET", {}),
    ]
    for target, method, headers in requests:
        ours, theirs = (at.ask(target, method, headers=headers.items()) for at in (native_site, served))
        assert (theirs.status, theirs.body == ours.body, theirs.whole) == (ours.status, True, True)
        shown = [
            sorted((name.lower(), value) for name, value in reply.headers if name.lower() not in framing)
            for reply in (ours, theirs)
        ]
        # wsgiref and waitress put a length of their own on 304.
        assert [pair for pair in shown[1] if theirs.status != 304 or pair[0] != "content-length"] == shown[0]


def test_a_file_that_shrinks_while_it_is_sent_ends_in_a_closed_connection(
    native_site: Served, site: Path
) -> None:
    with begun(native_site, "/sparse.bin") as client:
        os.truncate(site / "sparse.bin", 1 << 20)
        received = rest(client)
    assert received < 64 << 20
    assert "shorter while it was sent" in native_site.log()


def test_a_file_that_grows_while_it_is_sent_is_cut_at_its_length(native_site: Served, site: Path) -> None:
    os.truncate(site / "sparse.bin", 32 << 20)
    with begun(native_site, "/sparse.bin") as client:
        os.truncate(site / "sparse.bin", 48 << 20)
        assert rest(client) == 32 << 20


def begun(server: Served, target: str) -> socket.socket:
    """A connection on which the head of an answer has come, and little else was taken."""
    client = socket.create_connection(server.address, timeout=20)
    client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        assert byte, head
        head += byte
    assert b" 200 " in head
    return client


def rest(client: socket.socket) -> int:
    """How much comes until the end of the connection, be it a reset."""
    received = 0
    try:
        while block := client.recv(1 << 20):
            received += len(block)
    except ConnectionResetError:
        pass
    return received


def curl(*arguments: str) -> bytes:
    """What curl prints."""
    command = ["curl", "-sS", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=30).stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_resumes_a_download(native_site: Served, tmp_path: Path) -> None:
    target = tmp_path / "large.bin"
    target.write_bytes(LARGE[:33_333])
    curl("--fail", "-C", "-", "-o", str(target), f"{native_site.url}/large.bin")
    assert target.read_bytes() == LARGE


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_takes_the_compressed_form_and_undoes_it(native_site: Served) -> None:
    plain = curl("-D", "-", f"{native_site.url}/style.css")
    compressed = curl("-D", "-", "--compressed", f"{native_site.url}/style.css")
    assert b"Content-Encoding" not in plain
    assert b"Content-Encoding: gzip" in compressed
    assert plain.partition(b"\r\n\r\n")[2] == compressed.partition(b"\r\n\r\n")[2] == STYLE


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_does_not_download_what_it_has(native_site: Served, tmp_path: Path) -> None:
    tag, url = str(tmp_path / "etag"), f"{native_site.url}/digits.txt"
    status = ["-o", os.devnull, "-w", "%{http_code}", url]
    assert curl("--etag-save", tag, *status) == b"200"
    assert curl("--etag-compare", tag, *status) == b"304"
    assert curl("-z", formatdate(CHANGED, usegmt=True), *status) == b"304"
