"""Clients that are slow to take a response that is made block by block: they hold no thread."""

from __future__ import annotations

import hashlib
import resource
import time
from typing import TYPE_CHECKING

import pytest
from hyperframe import frame as frames

from server.client import Client
from server.process import wait_until
from support.authority import Authority
from support.http2 import RawClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.process import Server

BLOCK = 65536
BLOCKS = 256
"""More than the kernel keeps for a client that takes nothing."""
INTERNAL_ERROR = 2
CALLED_INLINE = 110
"""After so many calls without `write()`, an application is called on the thread that attends the sockets."""


@pytest.fixture(params=["inline", "apart"])
def serve_one(request: pytest.FixtureRequest, serve: Callable[..., Server]) -> Callable[..., Server]:
    """A server with a single thread for calls, in either way of calling."""

    def start(*options: str) -> Server:
        server = serve(*options, threads=1)
        if request.param == "inline":
            with server.client() as client:
                for _ in range(CALLED_INLINE):
                    client.get("/hello")
        return server

    return start


def is_quiet(server: Server) -> bool:
    """Whether it computes nothing for a while."""
    before = server.cpu_time()
    time.sleep(0.2)
    return server.cpu_time() - before < 0.02


def test_the_call_ends_and_its_thread_serves_others(serve_one):
    server = serve_one()
    with server.client() as client:
        client.request("GET", f"/large?blocks={BLOCKS}&name=slow")
        server.wait_for_line("event: closed slow on")
        assert server.get("/hello") == b"hello"
        body = client.response().body
    assert (len(body), hashlib.sha256(body).digest()) == (
        BLOCKS * BLOCK,
        hashlib.sha256(b"x" * BLOCK * BLOCKS).digest(),
    )


def test_blocks_stay_on_the_thread_of_the_call(serve_one):
    server = serve_one()
    with server.client() as client:
        client.request("GET", f"/large?blocks={BLOCKS}&name=slow")
        server.wait_for_line("event: closed slow on")
        assert len(client.response().body) == BLOCKS * BLOCK
    threads = {line.rpartition(" ")[2] for line in server.lines if " slow on " in line}
    assert len(threads) == 1


def test_a_connection_is_kept_behind_such_a_response(serve_one):
    server = serve_one()
    with server.client() as client:
        client.request("GET", f"/large?blocks={BLOCKS}&name=slow")
        server.wait_for_line("event: closed slow on")
        assert len(client.response().body) == BLOCKS * BLOCK
        assert client.get("/hello").body == b"hello"


def test_an_endless_response_waits_for_its_client(serve_one):
    server = serve_one("--response-spool", "4MiB")
    with server.client() as client:
        client.request("GET", "/endless?name=slow")
        client.head()

        wait_until(lambda: is_quiet(server))
        for _ in range(2000):
            assert client.chunk() == b"x" * BLOCK
    server.wait_for_line("event: closed slow on")
    assert server.get("/hello") == b"hello"


def test_what_was_made_leaves_while_the_application_waits(serve_one, tmp_path: Path):
    server = serve_one()
    with server.client() as client:
        client.request("GET", f"/large_then_waits?blocks={BLOCKS}&file={tmp_path / 'go'}")
        server.wait_for_line("event: waiting")
        client.head()
        for _ in range(BLOCKS):
            assert len(client.chunk()) == BLOCK
        (tmp_path / "go").touch()
        assert client.chunk() == b"last"
        assert client.chunk() == b""


def test_a_client_that_goes_away_ends_the_call(serve_one):
    server = serve_one("--response-spool", "1MiB")
    with server.client() as client:
        client.request("GET", "/endless?name=slow")
        client.head()
        client.reset()
    server.wait_for_line("event: closed slow on")
    assert server.get("/hello") == b"hello"


def test_a_client_that_takes_nothing_is_given_up(serve_one):
    server = serve_one("--response-spool", "1MiB", "--write-timeout", "300ms")
    with server.client() as client:
        client.request("GET", "/endless?name=slow")
        server.wait_for_line("event: closed slow on")
    assert server.get("/hello") == b"hello"


def test_an_error_of_the_application_comes_after_what_was_made_before_it(serve_one):
    server = serve_one()
    with server.client() as client:
        client.request("GET", f"/large_then_raises?blocks={BLOCKS}")
        server.wait_for_line("ValueError: in the middle")
        client.head()
        for _ in range(BLOCKS):
            assert len(client.chunk()) == BLOCK
        assert client.is_ended()


def test_where_files_cannot_be_written_the_application_waits_and_that_is_said_once(serve_one):
    server = serve_one()
    resource.prlimit(server.popen.pid, resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    for name in ("one", "two"):
        with server.client() as client:
            client.request("GET", f"/large?blocks={BLOCKS}&name={name}")
            assert len(client.response().body) == BLOCKS * BLOCK
            server.wait_for_line(f"event: closed {name} on")
    assert sum("cannot be put aside" in line for line in server.lines) == 1
    assert server.stop() == 0


def test_no_files_are_used_where_none_are_wanted(serve_one):
    server = serve_one("--response-spool", "0")
    resource.prlimit(server.popen.pid, resource.RLIMIT_FSIZE, (0, 0))
    with server.client() as client:
        client.request("GET", f"/large?blocks={BLOCKS}&name=slow")
        assert len(client.response().body) == BLOCKS * BLOCK
    assert "put aside" not in server.log


def test_over_tls_a_slow_client_holds_no_thread_either(serve, tmp_path: Path):
    authority = Authority(tmp_path)
    server = serve(*authority.pair("localhost").options, threads=1, bind=("https://127.0.0.1:0",))

    def connect() -> Client:
        client = Client(server.places[0].replace("https:", "http:"), 10.0)
        client.socket = authority.context().wrap_socket(client.socket, server_hostname="localhost")
        return client

    with connect() as client, connect() as other:
        for _ in range(CALLED_INLINE):
            other.get("/hello")
        client.request("GET", f"/large?blocks={BLOCKS}&name=slow")
        server.wait_for_line("event: closed slow on")
        assert other.get("/hello").body == b"hello"
        assert client.response().body == b"x" * BLOCK * BLOCKS
        assert client.get("/hello").body == b"hello"


def read_stream(client: RawClient, stream: int) -> bytes:
    """A response's body, whose client takes more whenever something has come."""
    body = bytearray()
    client.send(frames.WindowUpdateFrame(0, window_increment=1 << 30))
    client.send(frames.WindowUpdateFrame(stream, window_increment=1 << 30))
    while True:
        frame = client.until(frames.DataFrame, stream)
        body += frame.data
        if "END_STREAM" in frame.flags:
            return bytes(body)


def test_a_stream_that_is_not_taken_holds_no_thread_either(serve_one):
    server = serve_one()
    with RawClient(server.port) as client:
        stream = client.request(f"/large?blocks={BLOCKS}&name=slow")
        server.wait_for_line("event: closed slow on")
        assert server.get("/hello") == b"hello"
        body = read_stream(client, stream)
    assert (len(body), body.count(b"x")) == (BLOCKS * BLOCK, BLOCKS * BLOCK)
    threads = {line.rpartition(" ")[2] for line in server.lines if " slow on " in line}
    assert len(threads) == 1


def test_what_was_made_leaves_by_a_stream_while_the_application_waits(serve_one, tmp_path: Path):
    server = serve_one()
    with RawClient(server.port) as client:
        stream = client.request(f"/large_then_waits?blocks=32&file={tmp_path / 'go'}")
        server.wait_for_line("event: waiting")
        client.send(frames.WindowUpdateFrame(0, window_increment=1 << 30))
        client.send(frames.WindowUpdateFrame(stream, window_increment=1 << 30))
        taken = 0
        while taken < 32 * BLOCK:
            taken += len(client.until(frames.DataFrame, stream).data)
        (tmp_path / "go").touch()
        assert client.until(frames.DataFrame, stream).data == b"last"


def test_an_endless_stream_waits_for_its_client_and_ends_with_it(serve_one):
    server = serve_one("--response-spool", "1MiB")
    with RawClient(server.port) as client:
        stream = client.request("/endless?name=slow")
        wait_until(lambda: is_quiet(server))
        client.send(frames.RstStreamFrame(stream, error_code=8))
        server.wait_for_line("event: closed slow on")
    assert server.get("/hello") == b"hello"


def test_a_stream_that_is_never_taken_is_given_up(serve_one):
    server = serve_one("--response-spool", "1MiB", "--write-timeout", "300ms")
    with RawClient(server.port) as client:
        client.request("/endless?name=slow")
        server.wait_for_line("event: closed slow on")
    assert server.get("/hello") == b"hello"


def test_an_error_of_the_application_resets_its_stream(serve_one):
    server = serve_one()
    with RawClient(server.port) as client:
        stream = client.request("/large_then_raises?blocks=32")
        server.wait_for_line("ValueError: in the middle")
        client.send(frames.WindowUpdateFrame(0, window_increment=1 << 30))
        client.send(frames.WindowUpdateFrame(stream, window_increment=1 << 30))
        assert client.until(frames.RstStreamFrame, stream).error_code == INTERNAL_ERROR


def begin_slowly(client: Client) -> None:
    """Asks for a response without end, and takes its head only."""
    client.request("GET", "/endless?name=slow")
    client.head()


@pytest.mark.parametrize("called", ["inline", "apart"])
def test_more_slow_readers_than_threads_do_not_stop_the_application(serve, called):
    server = serve("--response-spool", "1MiB", threads=2)
    if called == "inline":
        with server.client() as client:
            for _ in range(CALLED_INLINE):
                client.get("/hello")
    clients = [server.client() for _ in range(8)]
    for client in clients:
        begin_slowly(client)
    wait_until(lambda: is_quiet(server))
    for _ in range(5):
        assert server.get("/hello") == b"hello"
    for client in clients:
        assert client.chunk() == b"x" * BLOCK
        client.close()
    server.wait_for_line("event: closed slow on", count=8)
    assert server.get("/hello") == b"hello"


def test_streams_that_are_not_taken_do_not_stop_the_application(serve):
    server = serve("--response-spool", "1MiB", threads=2)
    with RawClient(server.port) as client:
        for _ in range(8):
            client.request("/endless?name=slow")
        wait_until(lambda: is_quiet(server))
        assert server.get("/hello") == b"hello"
    server.wait_for_line("event: closed slow on", count=8)


def test_when_too_many_calls_wait_for_clients_the_longest_is_broken_off(serve):
    server = serve("--response-spool", "64KiB", "--metrics-path", "/metrics", threads=2)
    clients = [server.client() for _ in range(36)]
    for client in clients:
        begin_slowly(client)
    server.wait_for_line("event: closed slow on", count=4)
    assert b"\nonionskin_responses_abandoned_total 4\n" in server.get("/metrics")
    assert sum("the response that has waited the longest is broken off" in line for line in server.lines) == 1
    assert server.get("/hello") == b"hello"
    for client in clients:
        client.close()
    server.wait_for_line("event: closed slow on", count=36)


def test_where_one_thread_calls_no_second_call_begins_before_the_first_has_ended(serve):
    server = serve("--response-spool", "1MiB", "--write-timeout", "2s", threads=1)
    with server.client() as client, server.client() as other:
        begin_slowly(client)
        wait_until(lambda: is_quiet(server))
        other.request("GET", "/hello")
        server.wait_for_line("event: closed slow on")
        assert other.response().body == b"hello"


def test_a_client_that_takes_less_than_the_least_rate_is_given_up(serve):
    server = serve("--response-spool", "1MiB", "--write-min-rate", "1GiB", threads=1)
    with server.client() as client:
        since = time.monotonic()
        begin_slowly(client)
        while time.monotonic() - since < 15 and "closed slow on" not in server.log:
            client.chunk()
            time.sleep(0.05)
        assert 4 < time.monotonic() - since < 12
    server.wait_for_line("a client took its response too slowly")
    assert server.get("/hello") == b"hello"


def test_a_stream_whose_client_takes_less_than_the_least_rate_is_given_up(serve):
    server = serve("--response-spool", "1MiB", "--write-min-rate", "1GiB", threads=1)
    with RawClient(server.port) as client:
        since = time.monotonic()
        stream = client.request("/endless?name=slow")
        client.send(frames.WindowUpdateFrame(0, window_increment=1 << 30))
        while time.monotonic() - since < 15 and "closed slow on" not in server.log:
            client.send(frames.WindowUpdateFrame(stream, window_increment=BLOCK))
            time.sleep(0.1)
        assert 4 < time.monotonic() - since < 12
    assert server.get("/hello") == b"hello"


def test_time_in_which_the_application_waits_is_not_the_clients(serve, tmp_path: Path):
    server = serve("--write-min-rate", "1GiB", "--write-timeout", "6s", threads=1)
    with server.client() as client:
        client.request("GET", f"/large_then_waits?blocks=1&file={tmp_path / 'go'}")
        client.head()
        assert len(client.chunk()) == BLOCK
        time.sleep(7)
        (tmp_path / "go").touch()
        assert client.chunk() == b"last"
