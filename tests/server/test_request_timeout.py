"""Calls that take too long: the client is answered at once, the call gets an exception, the worker stays."""

from __future__ import annotations

import pytest

import onionskin
from server.client import Ended
from server.process import wait_until
from server.test_concurrency import AT_ONCE, duration

LIMIT = 0.2
TIMED = ("--request-timeout", f"{LIMIT}s")


@pytest.fixture(params=["plain", "inline"])
def timed(request, serve):
    """A server with a timeout, whose application is called on a thread of its own, or inline."""

    def start(*options, **settings):
        server = serve(*TIMED, *options, **settings)
        if request.param == "inline":
            # After a hundred calls it counts as one that does not use `write()`.
            with server.client() as client:
                for _ in range(120):
                    assert client.get("/hello").status == 200
        return server

    return start


@pytest.mark.smoke
def test_the_client_is_answered_and_the_call_ends(timed):
    server = timed(threads=1)
    with server.client() as client:
        assert LIMIT <= duration(lambda: client.get("/spin?name=it"), 504) < LIMIT + AT_ONCE
        assert client.is_ended()
    server.wait_for_line(r"GET /spin takes longer than 0.2s: it is timed out")
    server.wait_for_line("event: RequestTimeout it")
    # The only thread is free again, and no exception is left on it.
    for _ in range(3):
        assert server.get("/hello") == b"hello"


def test_the_client_is_answered_while_the_interpreter_is_held(timed):
    server = timed()
    with server.client() as client:
        assert LIMIT <= duration(lambda: client.get("/grip?count=100000000"), 504) < LIMIT + AT_ONCE
    assert server.get("/hello") == b"hello"


def test_a_call_that_waits_in_c_gets_the_exception_when_it_comes_back(timed):
    server = timed(threads=1)
    with server.client() as client:
        assert duration(lambda: client.get("/sleep?seconds=0.6"), 504) < LIMIT + AT_ONCE
    server.wait_for_line("RequestTimeout")
    assert server.get("/hello") == b"hello"


@pytest.mark.parametrize("kill", ["0.1s", "30s"])
def test_a_call_beside_one_that_does_not_end_is_timed_out_too(timed, kill):
    server = timed("--request-timeout-kill", kill)
    with server.client() as first, server.client() as second:
        assert duration(lambda: first.get("/sleep?seconds=2"), 504) < LIMIT + AT_ONCE
        if kill == "0.1s":
            server.wait_for_line("is stuck: it did not end")
        assert LIMIT <= duration(lambda: second.get("/sleep?seconds=1"), 504) < LIMIT + AT_ONCE


def test_a_response_that_has_begun_is_broken_off(timed):
    server = timed(threads=1)
    with server.client() as client:
        client.request("GET", "/drip")
        assert client.head().status == 200
        with pytest.raises(Ended):
            while client.chunk():
                pass
    server.wait_for_line("event: closed drip")
    assert server.get("/hello") == b"hello"


def test_a_client_that_reads_too_slowly_loses_the_thread(timed):
    server = timed(threads=1)
    with server.client() as client:
        client.request("GET", "/endless?name=slow")
        server.wait_for_line("event: closed slow")
        assert server.get("/hello") == b"hello"


def test_calls_in_time_are_not_touched(timed, tmp_path):
    server = timed()
    for _ in range(3):
        assert server.get("/sleep?seconds=0.05") == b"slept"
        assert b"RequestTimeout" not in server.log.encode()


def test_a_call_that_does_not_die_is_told_of_with_its_stack(timed, tmp_path):
    server = timed("--request-timeout-kill", "100ms", threads=2)
    with server.client() as client:
        assert client.get("/hold_on?file=" + str(tmp_path / "go")).status == 504
        server.wait_for_line(r"GET /hold_on is stuck: it did not end 0.1s after")
        server.wait_for_line(r"where GET /hold_on is stuck")
        server.wait_for_line(r"in hold_on")
        assert server.get("/hello") == b"hello"
        (tmp_path / "go").touch()
    server.wait_for_line("event: let go")
    assert server.get("/hello") == b"hello"


def test_the_access_log_says_so(serve, tmp_path):
    log = tmp_path / "access.log"
    server = serve(*TIMED, "--access-log", str(log), "--access-log-format", "{path} {status} {abort}")
    with server.client() as client:
        assert client.get("/spin").status == 504
        client.request("GET", "/spin", version="1.1")
    wait_until(lambda: log.read_text() == "/spin 504 request timeout\n")


def test_it_is_no_exception_that_applications_catch():
    assert not issubclass(onionskin.RequestTimeout, Exception)
