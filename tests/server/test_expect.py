"""`Expect: 100-continue`: the client is asked for the body once the layers have let its request pass."""

from __future__ import annotations

import time

import pytest

HEAD = b"POST %b HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.smoke
def test_continue_is_sent_and_the_application_reads(server):
    with server.client() as client:
        client.send(HEAD % (b"/reads", 5))
        assert client.head().status == 100
        client.send(b"green")
        response = client.response()
        assert (response.status, response.body) == (200, b"green")
        assert client.get("/hello").status == 200


def test_clients_that_are_slow_to_send_the_body_hold_no_thread(serve):
    server = serve(threads=2)
    clients = [server.client() for _ in range(8)]
    for client in clients:
        client.send(HEAD % (b"/echo?told=slow", 5))
        assert client.head().status == 100
        client.send(b"gr")
    for _ in range(3):
        assert server.get("/hello") == b"hello"
    assert "called slow" not in server.log
    for client in clients:
        client.send(b"een")
        body = client.response().body
        assert body.split()[:2] == [b"5", b"5"]
        client.close()


def test_a_layer_refuses_without_continue(serve):
    server = serve("--layer", "allow_addresses:allowed_addresses=192.0.2.1")
    with server.client() as client:
        client.send(HEAD % (b"/reads", 5))
        response = client.response()
        assert (response.status, response.header("Connection")) == (403, "close")
        assert client.is_ended()


def test_where_the_queue_is_full_there_is_no_continue(serve, tmp_path):
    server = serve("--queue", "0", threads=1)
    with server.client() as busy, server.client() as client:
        busy.request("GET", f"/hold?file={tmp_path / 'go'}&name=busy")
        server.wait_for_line("event: .*busy")
        client.send(HEAD % (b"/reads", 5))
        response = client.response()
        assert (response.status, response.header("Retry-After")) == (503, "1")
        assert client.is_ended()
        (tmp_path / "go").touch()
        assert busy.response().status == 200


def test_a_layer_that_answers_by_itself_gets_no_body_and_the_connection_closes(serve):
    server = serve("--layer", "static_files:root=.")
    with server.client() as client:
        client.send(HEAD.replace(b"POST", b"GET") % (b"/applications.py", 5))
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


def test_what_follows_an_unread_expectation_is_never_a_request(serve):
    server = serve("--layer", "static_files:root=.")
    with server.client() as client:
        smuggled = b"GET /reads?name=smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        client.send(HEAD.replace(b"POST", b"GET") % (b"/applications.py", len(smuggled)))
        client.send(smuggled)
        assert client.response().status == 200
        client.half_close()
        assert client.is_ended()
    assert server.get("/hello") == b"hello"
    assert "smuggled" not in server.log


def test_a_client_of_http_1_0_gets_no_interim_response(server):
    with server.client() as client:
        client.request("POST", "/reads", "Expect: 100-continue", body=b"green", version="1.0")
        assert client.response().body == b"green"


@pytest.mark.parametrize("leaves", ["close", "reset"])
def test_a_body_that_is_broken_off_is_never_given_to_the_application(server, leaves):
    client = server.client()
    client.send(HEAD % (b"/reads?name=broken", 5))
    assert client.head().status == 100
    client.send(b"gr")
    getattr(client, leaves)()
    assert server.get("/hello") == b"hello"
    assert "reading broken" not in server.log


def test_a_body_that_stops_coming_is_answered_408(serve):
    server = serve("--body-timeout", "300ms")
    with server.client() as client:
        client.send(HEAD % (b"/reads?name=slow", 5))
        assert client.head().status == 100
        since = time.monotonic()
        assert client.response().status == 408
        assert time.monotonic() - since < 2
        assert client.is_ended()
    assert "reading slow" not in server.log


def test_a_body_over_the_limit_is_refused_without_continue(serve):
    server = serve("--max-body", "4B")
    with server.client() as client:
        client.send(HEAD % (b"/reads", 5))
        assert client.response().status == 413
        assert client.is_ended()


def test_a_body_that_turns_out_too_long_is_answered_413(serve):
    server = serve("--max-body", "1KiB")
    with server.client() as client:
        client.request("POST", "/reads?name=long", "Expect: 100-continue", "Transfer-Encoding: chunked")
        assert client.head().status == 100
        client.send(b"800\r\n" + b"x" * 0x800 + b"\r\n0\r\n\r\n")
        assert client.response().status == 413
        assert client.is_ended()
    assert "reading long" not in server.log


def test_an_unknown_expectation_is_answered_417(server):
    with server.client() as client:
        client.request("POST", "/reads", "Expect: 200-ok", body=b"x")
        assert client.response().status == 417
        assert client.is_ended()
