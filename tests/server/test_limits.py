"""Limits on a request head: what is over them is refused early, what is within them is served."""

from __future__ import annotations

import pytest


@pytest.mark.smoke
def test_a_request_line_over_the_limit_is_answered_414(serve):
    server = serve("--max-request-line", "100B")
    with server.client() as client:
        assert client.get("/hello?" + "a" * (100 - len("GET /hello? HTTP/1.1"))).status == 200
        response = client.get("/hello?" + "a" * (101 - len("GET /hello? HTTP/1.1")))
        assert (response.status, response.header("Connection")) == (414, "close")
        assert client.is_ended()


def test_an_endless_request_line_is_answered_before_its_end(serve):
    server = serve("--max-request-line", "100B")
    with server.client() as client:
        client.send(b"GET /" + b"a" * 200)
        assert client.response().status == 414


@pytest.mark.smoke
def test_more_fields_than_allowed_are_answered_431(serve):
    server = serve("--max-headers", "5")
    with server.client() as client:
        assert client.get("/hello", *["X: y"] * 4).status == 200
        response = client.get("/hello", *["X: y"] * 5)
        assert (response.status, response.header("Connection")) == (431, "close")
        assert client.is_ended()


def test_a_head_over_the_limit_is_answered_431(serve):
    server = serve("--max-head", "1KiB")
    with server.client() as client:
        assert client.get("/hello", "X: " + "y" * 900).status == 200
        assert client.get("/hello", "X: " + "y" * 1000).status == 431
        assert client.is_ended()


def test_an_endless_field_is_answered_before_its_end(serve):
    server = serve("--max-head", "1KiB")
    with server.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 2000)
        assert client.response().status == 431


def test_a_client_that_sends_far_more_than_allowed_still_reads_its_answer(serve):
    server = serve("--max-head", "1KiB")
    with server.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000)
        assert client.response().status == 431
        assert client.is_ended()
