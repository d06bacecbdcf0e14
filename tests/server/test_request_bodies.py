"""Request bodies: when the application is called, what it may read, and what becomes of what nobody reads."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

import pytest


def seen(body: bytes, length: str | None = None) -> bytes:
    """What the application answers when it has read `body`."""
    return f"{len(body)} {length or len(body)} {hashlib.sha256(body).hexdigest()}".encode()


def chunked(body: bytes, size: int) -> bytes:
    """`body` in chunks of `size`."""
    blocks = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(block), block) for block in blocks) + b"0\r\n\r\n"


@pytest.mark.smoke
@pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 3_000_000])
def test_a_body_arrives_as_it_was_sent(server, size):
    body = os.urandom(size)
    with server.client() as client:
        client.request("POST", "/echo", "Content-Length: 0" if not body else "X: y", body=body)
        assert client.response().body == (seen(body) if body else seen(body, "0"))
        assert client.get("/hello").status == 200


@pytest.mark.smoke
@pytest.mark.parametrize("size", [1, 1000, 70_000, 3_000_000])
def test_a_chunked_body_arrives_with_its_length(server, size):
    body = os.urandom(size)
    with server.client() as client:
        client.request("POST", "/echo", "Transfer-Encoding: chunked")
        client.send(chunked(body, 1 + size // 7))
        assert client.response().body == seen(body)
        assert client.get("/hello").status == 200


def test_the_application_is_called_when_the_body_is_there(serve):
    server = serve(threads=1)
    with server.client() as slow, server.client() as other:
        slow.send(b"POST /echo?told=slow HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        # The only thread is free meanwhile.
        for _ in range(3):
            assert other.get("/hello").status == 200
        assert "event: called slow" not in server.log
        slow.send(b"cd")
        assert slow.response().body == seen(b"abcd")
        server.wait_for_line("event: called slow")


def test_a_body_that_stops_coming_is_answered_408_without_a_call(serve):
    server = serve("--body-timeout", "300ms")
    with server.client() as client:
        since = time.monotonic()
        client.send(b"POST /echo?told=it HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        response = client.response()
        assert 0.2 < time.monotonic() - since < 2
        assert response.status == 408
        assert client.is_ended()
    assert "event: called it" not in server.log


def test_a_body_that_keeps_coming_is_waited_for(serve):
    server = serve("--body-timeout", "400ms")
    with server.client() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
        for byte in b"abcdef":
            time.sleep(0.1)
            client.send(bytes([byte]))
        assert client.response().body == seen(b"abcdef")


def test_a_body_cut_short_is_never_given_to_the_application(serve):
    server = serve()
    with server.client() as client:
        client.send(b"POST /echo?told=cut HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        client.half_close()
        assert client.response().status == 400
    with server.client() as client:
        client.send(
            b"POST /echo?told=cut HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n"
        )
        client.half_close()
        assert client.response().status == 400
    assert server.get("/hello") == b"hello"
    assert "event: called cut" not in server.log


def test_a_large_body_is_kept_in_a_file_not_in_memory(serve):
    server = serve("--spool-memory", "64KiB")
    body = os.urandom(1 << 20) * 48
    baseline = resident(server)
    with server.client() as client:
        client.send(b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
        client.send(body)
        assert client.response().body == b"not read"
    assert peak(server) - baseline < 24 << 20
    with server.client() as client:
        client.request("POST", "/echo", body=body)
        assert client.response().body == seen(body)


def resident(server) -> int:
    """The memory that the server occupies now, in bytes."""
    return memory(server, "VmRSS")


def peak(server) -> int:
    """The most memory that the server has occupied, in bytes."""
    return memory(server, "VmHWM")


def memory(server, key: str) -> int:
    status = Path(f"/proc/{server.popen.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def test_a_length_over_the_limit_is_answered_413_before_the_body_comes(serve):
    server = serve("--max-body", "1KiB")
    with server.client() as client:
        client.send(b"POST /echo?told=it HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n")
        response = client.response()
        assert (response.status, response.header("Connection")) == (413, "close")
        assert client.is_ended()
    assert "event: called it" not in server.log


def test_a_chunked_body_over_the_limit_is_answered_413(serve):
    server = serve("--max-body", "1KiB")
    with server.client() as client:
        client.request("POST", "/echo?told=it", "Transfer-Encoding: chunked")
        client.send(chunked(b"x" * 1025, 100) + b"GET /echo?told=smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.response().status == 413
        assert client.is_ended()
    assert server.get("/hello") == b"hello"
    assert "event:" not in server.log


def test_a_body_as_large_as_the_limit_is_served(serve):
    server = serve("--max-body", "1KiB")
    with server.client() as client:
        client.request("POST", "/echo", body=b"x" * 1024)
        assert client.response().status == 200
        client.request("POST", "/echo", "Transfer-Encoding: chunked")
        client.send(chunked(b"x" * 1024, 100))
        assert client.response().status == 200


def test_an_unread_body_does_not_become_the_next_request(server):
    with server.client() as client:
        body = b"GET /raises HTTP/1.1\r\nHost: a\r\n\r\n"
        client.request("POST", "/unread", body=body)
        client.request("GET", "/hello")
        assert client.response().body == b"not read"
        assert client.response().body == b"hello"


def test_a_layer_may_refuse_before_the_body_has_come(serve):
    server = serve("--layer", "allow_addresses:allowed_addresses=10.0.0.1")
    with server.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        assert client.response().status == 403
        client.send(b"x" * 1000)  # read and dropped: little enough to keep the connection
        assert client.get("/").status == 403


@pytest.mark.parametrize("path", ["/layer", "/limit"])
def test_a_client_that_sends_all_before_it_reads_still_gets_its_refusal(serve, path):
    """Most clients do: a reset in place of the answer would hide from them why they were refused."""
    guard = "allow_addresses:allowed_addresses=10.0.0.1,match.path=/layer"
    server = serve("--layer", guard, "--max-body", "1MiB" if path == "/limit" else "100MiB")
    body = b"x" * (4 << 20)
    with server.client() as client:
        client.send(f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        client.send(body)
        assert client.response().status == (413 if path == "/limit" else 403)


def test_a_refused_client_cannot_make_the_server_read_for_ever(serve):
    server = serve("--layer", "allow_addresses:allowed_addresses=10.0.0.1")
    with server.client() as client:
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n")
        assert client.response().status == 403
        since = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - since < 20:
                client.send(b"x" * 1000)
                time.sleep(0.05)
        assert time.monotonic() - since < 15


def test_a_body_that_drips_is_answered_408_after_the_grace_period(serve):
    server = serve()
    with server.client() as client:
        since = time.monotonic()
        client.send(b"POST /echo?told=it HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        client.socket.settimeout(0.2)
        while time.monotonic() - since < 12:
            client.send(b"x")
            with contextlib.suppress(TimeoutError):
                response = client.response()
                break
        assert response.status == 408
        assert 4 < time.monotonic() - since < 9
    assert "event: called it" not in server.log


def test_a_body_may_drip_where_no_rate_is_asked_for(serve):
    server = serve("--body-min-rate", "0")
    with server.client() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\n\r\n")
        for byte in b"a slow client":
            time.sleep(0.5)
            client.send(bytes([byte]))
        assert client.response().body == seen(b"a slow client")
