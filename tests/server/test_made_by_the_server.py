"""Responses that the server makes itself pass through the layers around the application."""

from __future__ import annotations

import json

import pytest
from hyperframe import frame as frames

from server.test_request_timeout import LIMIT, TIMED
from support.http2 import RawClient

LAYERS = (
    *("--layer", "request_id"),
    *("--layer", "headers:response.set.x-frame-options=DENY"),
    *("--layer", "errors:problem_json=always"),
)


def checked(status, headers, body):
    """The response has what each of the layers adds."""
    headers = {name.lower(): value for name, value in headers.items()}
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-type"] == "application/problem+json"
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["request_id"] == headers["x-request-id"]


@pytest.mark.parametrize("path", ["/spin", "/sleep?seconds=0.8", "/grip?count=20000000"])
def test_a_504_passes_through_the_layers(serve, path):
    server = serve(*TIMED, *LAYERS)
    with server.client() as client:
        response = client.get(path)
        checked(504, dict(response.headers), response.body)
        assert response.status == 504
        assert client.is_ended()
    with RawClient(server.port) as client:
        stream = client.request(path)
        fields = client.until(frames.HeadersFrame, stream).fields
        body = client.until(frames.DataFrame, stream).data
        assert fields[":status"] == "504"
        checked(504, fields, body)


def test_without_layers_a_504_has_a_plain_body(serve):
    server = serve(*TIMED)
    with server.client() as client:
        response = client.get("/sleep?seconds=0.8")
        assert (response.status, response.body) == (504, b"Gateway Timeout\n")
        assert response.header("Content-Type") == "text/plain; charset=utf-8"
    with RawClient(server.port) as client:
        assert client.response(client.request("/sleep?seconds=0.8")) == (504, b"Gateway Timeout\n")
    assert LIMIT < 0.8


LARGE = ("--max-body", "1KiB")


@pytest.mark.parametrize("extra", [(), ("Expect: 100-continue",)])
def test_a_413_passes_through_the_layers(serve, extra):
    server = serve(*LARGE, *LAYERS)
    with server.client() as client:
        client.request("POST", "/echo?told=it", "Content-Length: 2000", *extra)
        response = client.response()
        assert response.status == 413
        checked(413, dict(response.headers), response.body)
        assert client.is_ended()
    with RawClient(server.port) as client:
        stream = client.request("/echo?told=it", ("content-length", "2000"), body=b"x" * 2000)
        fields = client.until(frames.HeadersFrame, stream).fields
        assert fields[":status"] == "413"
        checked(413, fields, client.until(frames.DataFrame, stream).data)
    assert "event: called it" not in server.log


def test_a_layer_that_needs_no_body_answers_a_request_with_a_large_one(serve):
    server = serve(*LARGE, "--layer", "allow_addresses:allowed_addresses=10.0.0.1")
    with server.client() as client:
        client.request("POST", "/echo", "Content-Length: 2000")
        assert client.response().status == 403
        assert client.is_ended()


def test_a_408_and_a_503_pass_through_the_layers(serve, tmp_path):
    server = serve("--body-timeout", "0.2s", "--queue", "0", *LAYERS, threads=1)
    with server.client() as client:
        client.request("POST", "/echo", "Content-Length: 2000")
        response = client.response()
        assert response.status == 408
        checked(408, dict(response.headers), response.body)
    go = tmp_path / "go"
    with server.client() as holder, server.client() as client:
        holder.request("GET", f"/hold?file={go}&name=it")
        server.wait_for_line("event: holding it")
        response = client.get("/hello")
        assert response.status == 503
        checked(503, dict(response.headers), response.body)
        go.touch()
        assert holder.response().status == 200
