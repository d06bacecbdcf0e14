"""No stall between the parts of a response: no write waits for the client's delayed ACK (40 ms)."""

from __future__ import annotations

import statistics
import time

import pytest

REQUESTS = 50


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "small"
    path.write_bytes(b"onetwothree")
    return path


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        *[(kind, "1.1") for kind in ("quick_list", "quick_generator", "quick_write", "file")],
        # Of known length: another one ends the connection.
        *[(kind, "1.0") for kind in ("quick_list", "file")],
    ],
)
def test_a_kept_connection_never_stalls(server, small_file, kind, version):
    headers = ["Connection: keep-alive"] if version == "1.0" else []
    path = f"/file?path={small_file}" if kind == "file" else f"/{kind}"
    spent = []
    with server.client() as client:
        for _ in range(REQUESTS):
            since = time.perf_counter()
            assert client.get(path, *headers, version=version).body == b"onetwothree"
            spent.append(time.perf_counter() - since)
    assert statistics.median(spent) < 0.020
    assert sum(each > 0.035 for each in spent) < REQUESTS // 5


def test_a_body_behind_its_head_never_stalls(server):
    spent = []
    with server.client() as client:
        for _ in range(REQUESTS):
            since = time.perf_counter()
            client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            client.send(b"green")
            assert client.response().status == 200
            spent.append(time.perf_counter() - since)
    assert statistics.median(spent) < 0.020


def test_a_continue_never_stalls(server):
    spent = []
    with server.client() as client:
        for _ in range(REQUESTS):
            since = time.perf_counter()
            client.send(
                b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
            )
            assert client.head().status == 100
            client.send(b"green")
            assert client.response().status == 200
            spent.append(time.perf_counter() - since)
    assert statistics.median(spent) < 0.020
