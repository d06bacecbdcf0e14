"""A client that disconnects during its upload is logged as 499, and causes no traceback."""

from __future__ import annotations

import json

import pytest
from hyperframe import frame as frames

from server.process import wait_until
from server.test_access_log import lines
from support.http2 import RawClient

UPLOADS = {
    "length": ("Content-Length: 1000",),
    "chunked": ("Transfer-Encoding: chunked",),
    "expected": ("Content-Length: 1000", "Expect: 100-continue"),
}


@pytest.mark.parametrize("leaves", ["close", "reset"])
@pytest.mark.parametrize("upload", UPLOADS)
def test_a_broken_off_upload_is_logged_as_499(serve, tmp_path, upload, leaves):
    log = tmp_path / "access.log"
    server = serve("--access-log", str(log), "--access-log-format", "{method} {path} {status} {abort}")
    with server.client() as client:
        client.request("POST", "/echo", *UPLOADS[upload])
        if upload == "expected":
            assert client.head().status == 100
        client.send(b"5\r\nhello" if upload == "chunked" else b"hello")
        getattr(client, leaves)()
    assert lines(log, 1) == ["POST /echo 499 client gone"]
    assert "Traceback" not in server.log


def test_a_stream_that_is_reset_during_its_upload_is_logged_as_499(serve, tmp_path):
    log = tmp_path / "access.log"
    skipped = ("--metrics-path", "/metrics", "--access-log-skip", "/metrics")
    server = serve("--access-log", str(log), "--access-log-format", "json", *skipped)
    with RawClient(server.port) as client:
        stream = client.request("/echo", ("content-length", "1000"), body=b"hello", end=False)
        # A request that is reset before its task has run is not begun. The second one asks for the metrics.
        wait_until(lambda: b"onionskin_requests_in_flight 2\n" in server.get("/metrics"))
        client.send(frames.RstStreamFrame(stream, error_code=8))
        (line,) = lines(log, 1)
    told = json.loads(line)
    assert (told["status"], told["abort"], told["host"]) == (499, "client gone", "a")
    assert "Traceback" not in server.log


def test_a_client_that_leaves_after_its_upload_is_no_499(serve, tmp_path):
    log = tmp_path / "access.log"
    server = serve("--access-log", str(log), "--access-log-format", "{path} {status} {received_bytes}")
    with server.client() as client:
        client.request("POST", "/echo", body=b"hello")
        client.half_close()
        assert client.response().status == 200
    assert lines(log, 1) == ["/echo 200 5"]
