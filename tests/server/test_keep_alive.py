"""A connection's life between its requests: kept, timed out, closed."""

from __future__ import annotations

import time

import pytest


@pytest.mark.smoke
def test_a_connection_serves_many_requests(server):
    with server.client() as client:
        for _ in range(20):
            response = client.get("/hello")
            assert (response.status, response.body) == (200, b"hello")
            assert response.header("Connection") is None


@pytest.mark.smoke
def test_pipelined_requests_are_answered_in_their_order(server):
    with server.client() as client:
        paths = ["/hello", "/unread", "/quick_list", "/quick_generator", "/hello"]
        client.send(b"".join(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for path in paths))
        bodies = [client.response().body for _ in paths]
    assert bodies == [b"hello", b"not read", b"onetwothree", b"onetwothree", b"hello"]


def test_a_request_that_comes_byte_by_byte_is_served(server):
    with server.client() as client:
        for byte in b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab":
            client.send(bytes([byte]))
        assert client.response().body.startswith(b"2 2 ")


def test_without_keep_alive_each_answer_says_that_it_is_the_last(serve):
    with serve("--keep-alive", "0").client() as client:
        assert client.get("/hello").header("Connection") == "close"
        assert client.is_ended()


def test_connection_close_is_granted(server):
    with server.client() as client:
        assert client.get("/hello", "Connection: close").header("Connection") == "close"
        assert client.is_ended()


def test_http_1_0_is_closed_after_one_request(server):
    with server.client() as client:
        assert client.get("/hello", version="1.0").body == b"hello"
        assert client.is_ended()


def test_http_1_0_is_kept_where_the_client_asks_for_it(server):
    with server.client() as client:
        for _ in range(3):
            response = client.get("/hello", "Connection: keep-alive", version="1.0")
            assert response.header("Connection") == "keep-alive"


def test_http_1_0_gets_a_body_of_unknown_length_until_the_close(server):
    with server.client() as client:
        response = client.get("/quick_generator", "Connection: keep-alive", version="1.0")
        assert response.header("Transfer-Encoding") is None
        assert response.header("Connection") != "keep-alive"
        assert response.body == b"onetwothree"


def test_an_idle_connection_is_closed_after_keep_alive_without_a_word(serve):
    server = serve("--keep-alive", "300ms")
    with server.client() as client:
        assert client.get("/hello").status == 200
        since = time.monotonic()
        assert client.is_ended()
        assert 0.2 < time.monotonic() - since < 2


def test_a_silent_connection_is_closed_after_the_header_timeout(serve):
    server = serve("--header-timeout", "300ms")
    with server.client() as client:
        since = time.monotonic()
        assert client.is_ended()
        assert 0.2 < time.monotonic() - since < 2


def test_a_head_that_does_not_arrive_in_time_is_answered_408(serve):
    server = serve("--header-timeout", "300ms")
    with server.client() as client:
        client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n")
        since = time.monotonic()
        response = client.response()
        assert 0.2 < time.monotonic() - since < 2
        assert (response.status, response.header("Connection")) == (408, "close")
        assert client.is_ended()


def test_trickled_header_lines_do_not_prolong_the_header_timeout(serve):
    server = serve("--header-timeout", "400ms", "--keep-alive", "5s")
    with server.client() as client:
        assert client.get("/hello").status == 200
        since = time.monotonic()
        client.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n")
        client.socket.settimeout(0.05)
        while not client.buffer and time.monotonic() - since < 3:
            try:
                client.buffer = client.socket.recv(65536)
            except TimeoutError:
                client.send(b"X: y\r\n")
        assert 0.3 < time.monotonic() - since < 2
        client.socket.settimeout(5)
        assert client.response().status == 408


def test_a_second_request_has_the_header_timeout_anew(serve):
    server = serve("--header-timeout", "300ms", "--keep-alive", "5s")
    with server.client() as client:
        assert client.get("/hello").status == 200
        time.sleep(0.5)  # longer than the header timeout: it does not run while the connection is idle
        assert client.get("/hello").status == 200


def test_many_idle_connections_cost_no_thread(serve):
    server = serve(threads=1)
    clients = [server.client() for _ in range(200)]
    assert all(client.get("/hello").status == 200 for client in clients)
    assert server.get("/hello") == b"hello"
    for client in clients:
        client.close()


def test_a_half_closed_client_still_gets_its_answer(server):
    with server.client() as client:
        client.request("GET", "/hello")
        client.half_close()
        assert client.response().body == b"hello"
        assert client.is_ended()
