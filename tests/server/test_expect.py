"""`Expect: 100-continue`: the client is asked for the body when somebody wants it, and not before."""

from __future__ import annotations

import time

import pytest

HEAD = b"POST %b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.smoke
def test_continue_is_sent_when_the_application_reads(server):
    with server.client() as client:
        client.send(HEAD % (b"/reads", 5))
        assert client.head().status == 100
        client.send(b"green")
        response = client.response()
        assert (response.status, response.body) == (200, b"green")
        assert client.get("/hello").status == 200


def test_continue_is_not_sent_before_the_application_reads(server, tmp_path):
    with server.client() as client:
        client.send(HEAD % (f"/reads_after?file={tmp_path / 'go'}".encode(), 5))
        server.wait_for_line("event: waiting to read")
        client.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.head()
        client.socket.settimeout(5)
        (tmp_path / "go").touch()
        assert client.head().status == 100
        client.send(b"green")
        assert client.response().body == b"green"


def test_an_application_that_never_reads_gets_no_body_and_the_connection_closes(server):
    with server.client() as client:
        client.send(HEAD % (b"/unread", 5))
        response = client.response()
        assert (response.status, response.header("Connection")) == (200, "close")
        assert client.is_ended()


def test_a_client_that_does_not_wait_for_continue_is_served(server):
    with server.client() as client:
        client.send(HEAD % (b"/reads", 5) + b"green")
        response = client.response()
        if response.status == 100:
            response = client.response()
        assert (response.status, response.body) == (200, b"green")
        assert client.get("/hello").status == 200


def test_what_follows_an_unread_expectation_is_never_a_request(server):
    with server.client() as client:
        smuggled = b"GET /reads?name=smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        client.send(HEAD % (b"/unread", len(smuggled)))
        client.send(smuggled)
        assert client.response().body == b"not read"
        client.half_close()
        assert client.is_ended()
    assert server.get("/hello") == b"hello"
    assert "smuggled" not in server.log


def test_a_client_of_http_1_0_gets_no_interim_response(server):
    with server.client() as client:
        client.request("POST", "/reads", "Expect: 100-continue", body=b"green", version="1.0")
        assert client.response().body == b"green"


def test_a_reset_in_the_middle_of_the_body_raises_in_read(server):
    client = server.client()
    client.send(HEAD % (b"/reads?name=reset", 5))
    assert client.head().status == 100
    client.send(b"gr")
    client.reset()
    server.wait_for_line("event: raised ConnectionResetError reset")


def test_a_close_in_the_middle_of_the_body_raises_in_read(server):
    with server.client() as client:
        client.send(HEAD % (b"/reads?name=closed", 5))
        assert client.head().status == 100
        client.send(b"gr")
    server.wait_for_line("event: raised ConnectionResetError closed")


def test_a_body_that_stops_coming_raises_in_read(serve):
    server = serve("--body-timeout", "300ms")
    with server.client() as client:
        client.send(HEAD % (b"/reads?name=slow", 5))
        assert client.head().status == 100
        since = time.monotonic()
        server.wait_for_line("event: raised TimeoutError slow")
        assert time.monotonic() - since < 2
        assert client.response().status >= 400
        assert client.is_ended()


def test_a_body_over_the_limit_is_refused_without_continue(serve):
    server = serve("--max-body", "4B")
    with server.client() as client:
        client.send(HEAD % (b"/reads", 5))
        assert client.response().status == 413
        assert client.is_ended()


@pytest.mark.parametrize("writes", [False, True])
def test_a_body_that_turns_out_too_long_is_answered_413_if_nobody_catches_the_exception(serve, writes):
    server = serve("--max-body", "1KiB")
    with server.client() as client:
        if writes:  # From then on a call has a thread of its own.
            assert client.get("/quick_write").status == 200
        client.request("POST", "/reads?name=long", "Expect: 100-continue", "Transfer-Encoding: chunked")
        assert client.head().status == 100
        client.send(b"800\r\n" + b"x" * 0x800 + b"\r\n0\r\n\r\n")
        assert client.response().status == 413
        assert client.is_ended()
    server.wait_for_line("event: raised OSError long")
    assert "Traceback" not in server.log


def test_an_unknown_expectation_is_answered_417(server):
    with server.client() as client:
        client.request("POST", "/reads", "Expect: 200-ok", body=b"x")
        assert client.response().status == 417
        assert client.is_ended()
