"""How a server ends: gracefully, in bounded time, with an exit code that tells the truth."""

from __future__ import annotations

import signal
import time

import pytest

from server.client import Ended
from server.process import Server, wait_until

BOTH = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.smoke
@pytest.mark.parametrize("number", BOTH)
def test_an_idle_server_ends_at_once_with_0(serve, number):
    server = serve()
    with server.client() as idle:
        assert idle.get("/hello").status == 200
        since = time.monotonic()
        server.signal(number)
        assert idle.is_ended()
        assert server.wait() == 0
        assert time.monotonic() - since < 2
    assert "Traceback" not in server.log


@pytest.mark.parametrize("number", BOTH)
def test_whoever_has_read_where_it_serves_may_stop_it_at_once(number):
    for _ in range(20):
        with Server() as server:
            server.signal(number)
            assert server.wait() == 0
            assert "Traceback" not in server.log


@pytest.mark.smoke
@pytest.mark.parametrize("number", BOTH)
def test_a_request_in_flight_is_answered(serve, tmp_path, number):
    server = serve()
    with server.client() as client, server.client() as idle:
        assert idle.get("/hello").status == 200
        client.request("GET", f"/hold?file={tmp_path / 'go'}&name=in-flight")
        server.wait_for_line("event: holding in-flight")
        server.signal(number)
        assert idle.is_ended()
        (tmp_path / "go").touch()
        response = client.response()
        assert (response.body, response.header("Connection")) == (b"held", "close")
        assert client.is_ended()
    assert server.wait() == 0


def test_a_request_whose_body_is_coming_is_answered(serve):
    server = serve()
    with server.client() as client, server.client() as idle:
        assert idle.get("/hello").status == 200
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        server.get("/hello")
        server.signal(signal.SIGTERM)
        assert idle.is_ended()
        client.send(b"cd")
        assert client.response().body.startswith(b"4 4 ")
    assert server.wait() == 0


def test_a_stream_in_flight_is_sent_to_its_end(serve, tmp_path):
    server = serve()
    with server.client() as client, server.client() as idle:
        assert idle.get("/hello").status == 200
        client.request("GET", f"/stepwise?folder={tmp_path}")
        (tmp_path / "0").touch()
        client.head()
        server.signal(signal.SIGTERM)
        assert idle.is_ended()
        (tmp_path / "1").touch()
        (tmp_path / "2").touch()
        assert b"".join(iter(client.chunk, b"")) == b"block 0block 1block 2"
    assert server.wait() == 0


def test_nothing_new_is_accepted_once_the_stop_has_begun(serve, tmp_path):
    server = serve()
    with server.client() as client, server.client() as idle:
        assert idle.get("/hello").status == 200
        client.request("GET", f"/hold?file={tmp_path / 'go'}&name=last")
        server.wait_for_line("event: holding last")
        server.signal(signal.SIGTERM)
        assert idle.is_ended()
        wait_until(lambda: is_refused(server))
        (tmp_path / "go").touch()
        assert client.response().body == b"held"
    assert server.wait() == 0


def is_refused(server) -> bool:
    """Whether a new connection is refused by the system; it must not be served in any case."""
    try:
        with server.client() as late, pytest.raises((Ended, ConnectionResetError)):
            late.get("/hello")
    except ConnectionRefusedError:
        return True
    return False


def test_a_request_that_outlives_the_graceful_timeout_ends_the_server_with_1(serve):
    server = serve("--graceful-timeout", "300ms")
    with server.client() as client:
        client.request("GET", "/sleep?seconds=15&name=long")
        server.wait_for_line("event: sleeping long")
        since = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        assert 0.25 < time.monotonic() - since < 3
        assert client.is_ended()


def test_a_stream_without_end_ends_with_the_graceful_timeout(serve):
    server = serve("--graceful-timeout", "300ms")
    with server.client() as client:
        client.request("GET", "/endless?name=stream")
        client.head()
        since = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        assert time.monotonic() - since < 3
    server.wait_for_line("event: closed stream")


@pytest.mark.parametrize("number", BOTH)
def test_a_second_signal_ends_the_server_at_once(serve, number):
    server = serve("--graceful-timeout", "15s")
    with server.client() as client, server.client() as idle:
        assert idle.get("/hello").status == 200
        client.request("GET", "/sleep?seconds=15&name=long")
        server.wait_for_line("event: sleeping long")
        server.signal(number)
        assert idle.is_ended()
        since = time.monotonic()
        server.signal(number)
        assert server.wait() == 1
        assert time.monotonic() - since < 3


def test_a_second_signal_ends_what_waits_for_a_client(serve):
    server = serve("--graceful-timeout", "15s")
    with server.client() as client, server.client() as idle:
        assert idle.get("/hello").status == 200
        client.request("GET", "/endless?name=stream")
        client.head()
        server.signal(signal.SIGTERM)
        assert idle.is_ended()
        since = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
        assert time.monotonic() - since < 3


def test_a_slow_head_does_not_hold_up_the_stop_beyond_its_timeout(serve):
    server = serve("--header-timeout", "300ms")
    with server.client() as client, server.client() as idle:
        assert idle.get("/hello").status == 200
        client.send(b"GET /hello HTTP/1.1\r\n")
        server.get("/hello")
        since = time.monotonic()
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert time.monotonic() - since < 3


@pytest.mark.parametrize("workers", [[], ["--workers", "1"]], ids=["alone", "with a worker"])
def test_a_call_that_runs_python_when_it_is_cut_does_not_abort_the_process(serve, workers):
    server = serve("--graceful-timeout", "300ms", *workers)
    with server.client() as client:
        client.request("GET", "/busy?seconds=3&name=long")
        server.wait_for_line("event: busy long")
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
    assert "Fatal Python error" not in server.log
    assert "signal" not in server.log
