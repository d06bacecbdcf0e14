"""How many connections there may be: over TLS, over HTTP/2, and with every thread busy."""

from __future__ import annotations

import resource
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hyperframe import frame as frames

from server.client import Client, Ended
from support.authority import Authority
from support.http2 import SETTINGS_OF_PYTHON, RawClient

if TYPE_CHECKING:
    from pathlib import Path

SOON = 10.0


def test_a_server_whose_places_are_taken_waits_and_goes_on(serve):
    server = serve("--header-timeout", "30s", "--connections", "8", threads=8)
    clients = [server.client() for _ in range(8)]
    for client in clients:
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
    late = server.client()
    late.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
    server.wait_for_line("all 8 connections are taken, and none is idle: further ones wait")
    before = server.cpu_time()
    time.sleep(0.5)
    assert server.cpu_time() - before < 0.1

    clients[0].send(b"cd")
    answer = clients[0].response()
    assert (answer.status, answer.header("Connection")) == (200, "close")
    clients[0].close()
    assert late.response().body == b"hello"
    for client in clients:
        client.close()
    assert server.stop() == 0


def test_in_a_crowd_connections_end_with_an_answer_that_says_so(serve):
    server = serve("--connections", "4")

    def visit() -> str:
        with Client(server.places[0], SOON) as client:
            for _ in range(10):
                client.request("GET", "/hello")
                try:
                    if client.response().header("Connection") == "close":
                        return "told"
                except (Ended, ConnectionError):
                    return "lost"
        return "served"

    with ThreadPoolExecutor(40) as visitors:
        ends = Counter(visitors.map(lambda _: visit(), range(400)))
    # Who pauses for long enough before the next request may be idle just then.
    assert ends["lost"] <= 8, ends
    assert ends["told"] > 0, ends


def test_handshakes_that_never_begin_make_room(serve, tmp_path: Path):
    authority = Authority(tmp_path)
    pair = authority.pair("localhost")
    server = serve("--connections", "4", *pair.options, bind=("https://127.0.0.1:0",))
    place = server.places[0].replace("https:", "http:")
    silent = [Client(place, SOON) for _ in range(4)]
    client = Client(place, SOON)
    client.socket = authority.context().wrap_socket(client.socket, server_hostname="localhost")
    assert client.get("/hello").body == b"hello"
    client.close()
    assert silent[0].is_ended()
    for each in silent:
        each.close()
    assert server.stop() == 0


@pytest.mark.parametrize("settings", [{}, SETTINGS_OF_PYTHON])
def test_an_idle_connection_of_http_2_makes_room_and_says_so(serve, settings):
    server = serve("--connections", "1")
    with RawClient(server.port, settings=settings) as client:
        assert client.response(client.request("/hello")) == (200, b"hello")
        assert server.get("/hello") == b"hello"
        farewell = client.until(frames.GoAwayFrame)
        assert farewell.error_code == 0


def test_a_stream_that_is_open_keeps_its_connection(serve, tmp_path: Path):
    server = serve("--connections", "1")
    with RawClient(server.port) as client:
        held = client.request(f"/hold?file={tmp_path / 'go'}")
        server.wait_for_line("event: holding")
        late = server.client()
        late.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_for_line("all 1 connections are taken")
        (tmp_path / "go").touch()
        assert client.response(held) == (200, b"held")
        assert late.response().body == b"hello"


def test_the_limit_of_open_files_is_raised_as_far_as_is_allowed(serve):
    server = serve()
    soft, hard = resource.prlimit(server.popen.pid, resource.RLIMIT_NOFILE)
    assert soft == min(hard, 1 << 20)
