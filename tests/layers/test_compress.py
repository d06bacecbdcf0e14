"""Compress: what the client likes best, decoded by other people's code, and streams that stay streams."""

from __future__ import annotations

import gzip
import json
import shutil
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from selenium.webdriver.support.wait import WebDriverWait

from layers.compressed_site import BIG, BURST, EVENTS, PAGE
from onionskin import Compress, ConfigurationError
from support.chromium import chromium
from support.client import connected, read_until, reset
from support.encodings import decoded, decoder
from support.gate import Gate

if TYPE_CHECKING:
    from pathlib import Path

    from support.client import Reply
    from support.servers import Served, Servers

SITE = "layers.compressed_site:compressed"
ENCODINGS = ["zstd", "br", "gzip"]
STREAMING_KINDS = ["native", "gthread"]


@pytest.fixture
def site(kind: str, servers: Servers) -> Served:
    """The pages in Compress, under every kind of server."""
    return servers.get(kind, SITE)


@pytest.fixture(params=STREAMING_KINDS)
def streaming(request: pytest.FixtureRequest, servers: Servers) -> Served:
    """The pages in Compress, through each of the two doors."""
    return servers.get(request.param, SITE)


def get(server: Served, target: str, accept: str | None, method: str = "GET", **headers: str) -> Reply:
    """The answer to a client that accepts these codings."""
    own = [] if accept is None else [("Accept-Encoding", accept)]
    return server.ask(
        target, method, headers=[*own, *((key.replace("_", "-"), headers[key]) for key in headers)]
    )


def content(reply: Reply) -> bytes:
    """The body without its coding."""
    return decoded(reply.body, reply.get("Content-Encoding"))


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip;q=1.0, br;q=0.9", "gzip"),
        ("GZIP", "gzip"),
        ("zstd;q=0, *", "br"),
        ("deflate", None),
        ("gzip;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("*;q=0", None),
        ("", None),
        (None, None),
    ],
)
def test_the_client_gets_what_it_likes_best(site: Served, accept: str | None, expected: str | None) -> None:
    reply = get(site, "/page", accept)
    assert reply.get("Content-Encoding") == expected
    assert (reply.get("Vary") or "").lower() == "accept-encoding"
    assert content(reply) == PAGE


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    ("target", "expected"),
    [("/page", PAGE), ("/parts", PAGE), ("/big", BIG), ("/big_blocks", BIG), ("/file", PAGE)],
)
def test_what_the_application_gives_arrives(
    site: Served, target: str, expected: bytes, encoding: str
) -> None:
    reply = get(site, target, encoding)
    assert reply.whole
    assert reply.get("Content-Encoding") == encoding
    assert len(reply.body) < len(expected) / 2
    assert content(reply) == expected


def test_pythons_own_gzip_reads_it_to_the_checksum(site: Served) -> None:
    for target in ("/page", "/big_blocks"):
        assert gzip.decompress(get(site, target, "gzip").body) in (PAGE, BIG)


def test_the_house_prefers_what_it_names_first(servers: Servers) -> None:
    server = servers.get("native", "layers.compressed_site:preferring_gzip")
    assert get(server, "/page", "br, zstd, gzip").get("Content-Encoding") == "gzip"


@pytest.mark.parametrize("target", ["/small", "/picture", "/partial", "/exempt"])
def test_what_must_stay_as_it_is_does(site: Served, target: str) -> None:
    plain, reply = (get(site, target, accept) for accept in (None, "gzip, br, zstd"))
    assert reply.get("Content-Encoding") is None
    assert reply.body == plain.body
    assert reply.get("Vary") == plain.get("Vary")


def test_the_head_tells_what_was_done(site: Served) -> None:
    plain, reply = get(site, "/page", None), get(site, "/page", "br")
    assert (plain.get("ETag"), plain.get("Accept-Ranges")) == ('"page-1"', "bytes")
    assert (reply.get("ETag"), reply.get("Accept-Ranges")) == ('W/"page-1"', None)
    assert reply.get("Content-Length") in (None, str(len(reply.body)))


def test_a_head_request_gets_the_head_that_get_would(site: Served) -> None:
    left_out = {"content-length", "transfer-encoding", "date", "connection", "keep-alive"}
    for target in ("/page", "/parts", "/small", "/picture"):
        heads = [
            sorted((name.lower(), value) for name, value in reply.headers if name.lower() not in left_out)
            for reply in (get(site, target, "br", method) for method in ("GET", "HEAD"))
        ]
        assert heads[0] == heads[1]
    reply = get(site, "/parts", "br", "HEAD")
    # wsgiref tells the length of an empty list.
    assert (reply.body, reply.get("Content-Length")) == (b"", "0" if site.kind == "wsgiref" else None)


def test_a_client_that_has_the_weak_tag_is_answered_304(site: Served) -> None:
    first = get(site, "/tagged", "gzip")
    assert first.get("ETag") == 'W/"tag-1"'
    again = get(site, "/tagged", "gzip", If_None_Match='W/"tag-1"')
    assert (again.status, again.get("ETag"), again.body) == (304, 'W/"tag-1"', b"")
    strongly = get(site, "/tagged", None, If_None_Match='"tag-1"')
    assert (strongly.status, strongly.get("ETag")) == (304, '"tag-1"')


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_event_arrives_before_the_next_is_asked_for(streaming: Served, encoding: str) -> None:
    with Gate() as gate, connected(streaming.address) as client:
        request = f"GET /events?gate={gate.port} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {encoding}\r\n\r\n"
        client.sendall(request.encode())
        head, _, rest = read_until(client, b"\r\n\r\n").partition(b"\r\n\r\n")
        assert f"content-encoding: {encoding}" in head.decode().lower()
        decode, chunks, seen = decoder(encoding), Chunks(rest), b""
        for end in range(BURST, len(EVENTS) + 1, BURST):
            while len(seen) < len(b"".join(EVENTS[:end])):
                seen += decode(chunks.take() or chunks.put(client.recv(65536)))
            assert seen == b"".join(EVENTS[:end])
            if end < len(EVENTS):
                gate.reached()
                gate.open()


class Chunks:
    """The data of a chunked body, as far as it has come."""

    def __init__(self, received: bytes) -> None:
        self.received = received

    def put(self, received: bytes) -> bytes:
        """More has come."""
        assert received, "the connection ended"
        self.received += received
        return b""

    def take(self) -> bytes:
        """The next chunk, if it is there."""
        size, found, rest = self.received.partition(b"\r\n")
        if not found or len(rest) < int(size, 16) + 2:
            return b""
        length = int(size, 16)
        self.received = rest[length + 2 :]
        return rest[:length]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_event_is_with_the_client_within_50_ms(streaming: Served, encoding: str) -> None:
    late = []
    with (
        Gate() as gate,
        httpx.stream(
            "GET", f"{streaming.url}/times?gate={gate.port}", headers={"Accept-Encoding": encoding}
        ) as response,
    ):
        assert response.headers["Content-Encoding"] == encoding
        for text in response.iter_text():
            late.append(time.monotonic() - float(text.removeprefix("data: ")))
            gate.reached()
            gate.open()
    assert len(late) == 20
    # One may have met a busy machine.
    assert statistics.median(late) < 0.025
    assert sorted(late)[-2] < 0.05


def test_a_body_that_breaks_off_is_not_taken_for_a_whole_one(kind: str, servers: Servers) -> None:
    site = servers.get(kind, SITE)
    # To a client that is only told of the end by the end of the connection, gzip's own end has to tell.
    if kind not in ("wsgiref", "uwsgi"):
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{site.url}/broken", headers={"Accept-Encoding": "gzip"})
    reply = get(site, "/broken", "gzip")
    assert content(reply) == PAGE
    with pytest.raises(EOFError):
        gzip.decompress(reply.body)


def test_a_body_shorter_than_its_content_length_is_not_taken_for_a_whole_one(site: Served) -> None:
    reply = get(site, "/too_short", "gzip")
    with pytest.raises(EOFError):
        gzip.decompress(reply.body)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_curl_decodes_it(streaming: Served, encoding: str) -> None:
    for target, expected in (("/page", PAGE), ("/big_blocks", BIG)):
        command = [
            "curl",
            "-sS",
            "--compressed",
            "-H",
            f"Accept-Encoding: {encoding}",
            streaming.url + target,
        ]
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
        if b"Unrecognized content encoding" in done.stderr:
            pytest.skip(f"this curl knows no {encoding}")
        assert done.stdout == expected, done.stderr


def test_httpx_decodes_it_by_itself(site: Served) -> None:
    for target, expected in (("/page", PAGE), ("/big_blocks", BIG)):
        response = httpx.get(site.url + target)
        assert response.headers["Content-Encoding"] == "zstd"
        assert response.content == expected


@pytest.mark.timeout(90)
@pytest.mark.parametrize("kind", STREAMING_KINDS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_browser_decodes_it_and_sees_events_as_they_come(
    servers: Servers, kind: str, encoding: str, tmp_path: Path
) -> None:
    server = servers.get(kind, f"layers.compressed_site:forced_{encoding}")
    with Gate() as gate, chromium(tmp_path) as browser:
        browser.get(f"{server.url}/reader?gate={gate.port}")
        for end in range(BURST, len(EVENTS) + 1, BURST):
            seen = " ".join(map(str, range(end)))
            WebDriverWait(browser, 10, 0.02).until(lambda browser, seen=seen: browser.title == seen)
            if end < len(EVENTS):
                gate.reached()
                gate.open()
        length = "return document.body.dataset.length"
        WebDriverWait(browser, 10, 0.02).until(lambda browser: browser.execute_script(length))
        assert int(browser.execute_script(length)) == len(BIG)


@pytest.mark.parametrize("kind", STREAMING_KINDS)
def test_flask_streams_through_it(servers: Servers, kind: str) -> None:
    site = servers.get(kind, "layers.compressed_site:flask_site")
    response = httpx.get(f"{site.url}/stream")
    assert response.headers["Content-Encoding"] == "zstd"
    assert [json.loads(line)["row"] for line in response.text.splitlines()] == list(range(500))
    assert httpx.get(f"{site.url}/whole").content == PAGE


def test_many_at_once_do_not_mix(streaming: Served) -> None:
    wanted = [(target, encoding) for target in ("/page", "/big", "/big_blocks") for encoding in ENCODINGS] * 6

    def one(target: str, encoding: str) -> bool:
        return content(get(streaming, target, encoding)) == (PAGE if target == "/page" else BIG)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda want: one(*want), wanted))


def test_clients_that_go_away_leave_nothing_behind(streaming: Served) -> None:
    def leave(encoding: str) -> None:
        with connected(streaming.address) as client:
            client.sendall(
                f"GET /endless HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {encoding}\r\n\r\n".encode()
            )
            read_until(client, b"\r\n\r\n")
            client.recv(65536)
            reset(client)

    def leave_often(times: int) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(leave, ENCODINGS * times))

    leave_often(20)
    before = resident(streaming)
    leave_often(60)
    assert resident(streaming) - before < 24 << 20
    assert content(get(streaming, "/page", "br")) == PAGE


def resident(server: Served) -> int:
    """The memory of a server and its workers, in bytes."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,rss"], capture_output=True, text=True, check=True).stdout
    rows = [tuple(map(int, row.split())) for row in listed.splitlines()[1:]]
    return sum(rss for pid, parent, rss in rows if server.process.pid in (pid, parent)) * 1024


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"encodings": ["deflate"]}, 'encodings[0]: "deflate" does not fit; give "zstd" or "br" or "gzip"'),
        ({"encodings": []}, "encodings: there is none; give one or more of zstd, br, gzip"),
        ({"br_level": 12}, "br_level: 12 does not fit; give an integer from 0 to 11"),
        ({"types": "text/html"}, "types: "),
        ({"min_size": "big"}, "min_size: "),
    ],
)
def test_wrong_options_are_refused_at_start_up(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Compress(**options)
    assert told in str(refused.value)
