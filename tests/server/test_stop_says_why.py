"""A stopping server logs what it waits for, and until when."""

from __future__ import annotations

import re
import signal
import time

import pytest

from support.http2 import RawClient

UNTIL = r"until \d{4}-\d\d-\d\dT\S+Z at the latest"


@pytest.mark.parametrize("limited", [(), ("--request-timeout", "20s")])
def test_it_names_requests_and_connections(serve, tmp_path, limited):
    go = tmp_path / "go"
    server = serve(*limited, threads=2)
    with server.client() as first, server.client() as second, RawClient(server.port) as third:
        first.request("GET", f"/hold?file={go}&name=first")
        server.wait_for_line("holding first")
        stream = third.request(f"/hold?file={go}&name=third")
        server.wait_for_line("holding third")
        second.request("GET", "/hello")
        time.sleep(0.2)
        server.signal(signal.SIGTERM)
        server.wait_for_line(
            r"the server stops: it waits for 3 requests in flight on 3 open connections "
            rf"\(2 calls into the application running, 1 waiting in the queue\), {UNTIL}"
        )
        go.touch()
        assert first.response().body == b"held"
        assert third.response(stream) == (200, b"held")
        assert second.response().body == b"hello"
    assert server.wait() == 0


def test_a_stop_that_waits_for_nothing_says_nothing(serve):
    server = serve()
    assert server.get("/hello") == b"hello"
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "it waits for" not in server.log


def test_what_is_cut_off_is_counted(serve):
    server = serve("--graceful-timeout", "1s")
    with server.client() as client:
        client.request("GET", "/sleep?seconds=15&name=long")
        server.wait_for_line("sleeping long")
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
    server.wait_for_line("1 request in flight and 1 connection outlived the graceful timeout of 1s: cut")


def test_with_workers_supervisor_and_worker_say_so(serve, tmp_path):
    go = tmp_path / "go"
    server = serve("--workers", "1")
    with server.client() as client:
        client.request("GET", f"/hold?file={go}&name=it")
        server.wait_for_line("holding it")
        server.signal(signal.SIGTERM)
        line = server.wait_for_line(r"the server stops: it waits for worker \d+ to finish")
        assert re.search(UNTIL, line)
        server.wait_for_line(
            r"worker \d+ stops: it waits for 1 request in flight on 1 open connection \(1 call "
        )
        go.touch()
        assert client.response().body == b"held"
    assert server.wait() == 0
