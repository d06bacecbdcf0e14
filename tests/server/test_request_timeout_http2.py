"""Calls that take too long on streams of HTTP/2: clients are answered at once, others are not harmed."""

from __future__ import annotations

import time

import pytest
from hyperframe import frame as frames

from server.process import wait_until
from server.test_concurrency import AT_ONCE
from server.test_request_timeout import LIMIT, TIMED, timed
from support.http2 import RawClient

__all__ = ["timed"]  # the fixture

INTERNAL_ERROR, CANCEL = 2, 8


@pytest.mark.parametrize("path", ["/spin?name=it", "/sleep?seconds=0.8", "/grip?count=20000000"])
def test_the_client_is_answered_at_once_and_its_connection_stays(timed, path):
    server = timed(threads=2)
    with RawClient(server.port) as client:
        began = time.monotonic()
        late = client.request(path)
        assert client.response(late) == (504, b"Gateway Timeout\n")
        assert LIMIT <= time.monotonic() - began < LIMIT + AT_ONCE
        assert client.response(client.request("/hello")) == (200, b"hello")
    server.wait_for_line("takes longer than 0.2s: it is timed out")


def test_its_thread_is_free_again(timed):
    server = timed(threads=1)
    with RawClient(server.port) as client:
        assert client.response(client.request("/spin?name=it")) == (504, b"Gateway Timeout\n")
        server.wait_for_line("event: RequestTimeout it")
        for _ in range(3):
            assert client.response(client.request("/hello")) == (200, b"hello")


def test_a_response_that_has_begun_is_broken_off(timed):
    server = timed(threads=1)
    with RawClient(server.port) as client:
        stream = client.request("/drip")
        assert client.until(frames.HeadersFrame, stream).fields[":status"] == "200"
        assert client.until(frames.RstStreamFrame, stream).error_code in (INTERNAL_ERROR, CANCEL)
        server.wait_for_line("event: closed drip")
        assert client.response(client.request("/hello")) == (200, b"hello")


def test_an_endless_response_that_nobody_takes_loses_the_thread(timed):
    server = timed("--response-spool", "1MiB", threads=1)
    with RawClient(server.port) as client:
        stream = client.request("/endless?name=slow")
        server.wait_for_line("event: closed slow")
        assert client.until(frames.RstStreamFrame, stream).error_code in (INTERNAL_ERROR, CANCEL)
    assert server.get("/hello") == b"hello"


def test_calls_in_time_are_not_touched(timed):
    server = timed()
    with RawClient(server.port) as client:
        assert client.response(client.request("/sleep?seconds=0.05")) == (200, b"slept")
        assert client.response(client.request("/quick_generator")) == (200, b"onetwothree")
        assert client.response(client.request("/echo", body=b"four"))[0] == 200
        body = client.response(client.request("/large?blocks=0"))
        assert body == (200, b"")
    assert "RequestTimeout" not in server.log


def test_a_request_that_is_taken_back_lets_its_call_end(timed, tmp_path):
    server = timed(threads=1)
    with RawClient(server.port) as client:
        stream = client.request("/sleep?seconds=0.1&name=dropped")
        server.wait_for_line("event: sleeping dropped")
        client.send(frames.RstStreamFrame(stream, error_code=CANCEL))
        assert client.response(client.request("/hello")) == (200, b"hello")


def test_the_access_log_says_so(serve, tmp_path):
    log = tmp_path / "access.log"
    server = serve(*TIMED, "--access-log", str(log), "--access-log-format", "{path} {status} {abort}")
    with RawClient(server.port) as client:
        assert client.response(client.request("/spin"))[0] == 504
        wait_until(lambda: log.read_text() == "/spin 504 request timeout\n")


def test_a_body_that_comes_too_slowly_is_refused(serve):
    server = serve("--body-timeout", "500ms", "--body-min-rate", "1000")
    with RawClient(server.port) as client:
        stream = client.request("/echo", ("content-length", "100"), body=b"x", end=False)

        began = time.monotonic()
        client.socket.settimeout(0.1)
        status = None
        while status is None and time.monotonic() < began + 10:
            client.send(frames.DataFrame(stream, b"x"))
            try:
                status = client.until(frames.HeadersFrame, stream).fields[":status"]
            except TimeoutError:
                continue
        assert status == "408"
        # After the grace period of the least rate, 5 seconds.
        assert 4.5 < time.monotonic() - began < 8
