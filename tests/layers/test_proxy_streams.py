"""Proxy: bodies stream, slow sides slow the others down, and nothing outlives the client."""

from __future__ import annotations

import resource
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as websocket
from websockets.sync.server import serve as websockets_server

from onionskin import Proxy
from onionskin.simple_server import make_server
from support.both_doors import serving
from support.client import ask, connected, read_all, read_until, reset
from support.upstream import Peer, response, upstream, wait_until
from support.wsgi import Recorder, make_environ, run

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 1 << 20
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """One chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def memory() -> int:
    """What this process holds at most so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_events_arrive_one_by_one_natively() -> None:
    go = threading.Semaphore(0)

    def events(peer: Peer) -> None:
        peer.answer(CHUNKED)
        for number in range(3):
            assert go.acquire(timeout=10)
            peer.send(chunk(b"data: %d\n\n" % number))
        assert go.acquire(timeout=10)
        peer.send(chunk(b""))

    with upstream(events) as up, serving(Proxy(target=up.url)) as place, connected(place) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        read_until(client, b"\r\n\r\n")
        for number in range(3):
            go.release()
            read_until(client, b"data: %d\n\n" % number)
        go.release()
        read_until(client, b"0\r\n\r\n")


def test_events_arrive_one_by_one_through_the_outward_door() -> None:
    go = threading.Semaphore(1)

    def events(peer: Peer) -> None:
        peer.answer(CHUNKED)
        for number in range(3):
            assert go.acquire(timeout=10)
            peer.send(chunk(b"data: %d\n\n" % number))
        peer.send(chunk(b""))

    with upstream(events) as up:
        start_response = Recorder()
        received = []
        for block in Proxy(target=up.url)(make_environ(), start_response):
            assert start_response.status == "200 OK"
            if block:
                received.append(block)
                go.release()
    assert received == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


def test_other_threads_run_while_the_target_is_waited_for() -> None:
    """Through the outward door the GIL is released: the very target runs in this process."""
    with upstream(lambda peer: (time.sleep(0.05), peer.answer(response()))) as up:
        assert run(Proxy(target=up.url)).body == b"from upstream"


def test_a_large_download_takes_no_memory_and_goes_at_the_clients_pace() -> None:
    sent = 0

    def large(peer: Peer) -> None:
        nonlocal sent
        peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 * MIB))
        for _ in range(256):
            peer.send(bytes(MIB))
            sent += MIB

    with upstream(large) as up, serving(Proxy(target=up.url)) as place, connected(place) as client:
        before = memory()
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        read_until(client, b"\r\n\r\n")
        stays(lambda: sent)
        assert sent < 32 * MIB, "the target went on though the client took nothing"
        received = sum(len(block) for block in iter(lambda: client.recv(MIB), b""))
        assert received > 255 * MIB
        assert memory() - before < 16 * MIB


def test_a_large_upload_takes_no_memory_and_goes_at_the_targets_pace() -> None:
    go = threading.Event()
    received = 0

    def slow(peer: Peer) -> None:
        nonlocal received
        asked = peer.head()
        assert go.wait(10)
        left = int(asked.get("content-length") or 0) - len(peer.buffer)
        while left > 0:
            block = peer.socket.recv(MIB)
            assert block
            left -= len(block)
        received = int(asked.get("content-length") or 0)
        peer.buffer = b""
        peer.send(response())

    sent = 0

    def upload(client: socket.socket) -> None:
        nonlocal sent
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (64 * MIB))
        for _ in range(64):
            client.sendall(bytes(MIB))
            sent += MIB

    with upstream(slow) as up, serving(Proxy(target=up.url)) as place, connected(place) as client:
        before = memory()
        thread = threading.Thread(target=upload, args=(client,))
        thread.start()
        stays(lambda: sent)
        assert sent < 32 * MIB, "the client could go on though the target took nothing"
        go.set()
        assert b"200 OK" in read_until(client, b"from upstream")
        thread.join(10)
        assert (received, sent) == (64 * MIB, 64 * MIB)
        assert memory() - before < 16 * MIB


def stays(value: object) -> None:
    """Waits until a number is more than nothing, and no longer changes."""
    assert callable(value)
    before, since = -1, time.monotonic()
    due = since + 10
    while time.monotonic() < due:
        now = value()
        if now != before or now == 0:
            before, since = now, time.monotonic()
        elif time.monotonic() - since > 0.3:
            return
        time.sleep(0.02)


def test_an_upload_in_chunks_stays_one() -> None:
    with upstream(lambda peer: peer.send(response(peer.request().body))) as up:
        with serving(Proxy(target=up.url)) as place, connected(place) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            for part in (b"one ", b"two ", b"three", b""):
                client.sendall(chunk(part))
            assert read_until(client, b"three").endswith(b"one two three")
        assert up.asked[0].get("transfer-encoding") == "chunked"


def test_an_upload_is_asked_for_when_the_target_is_connected() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    with upstream(lambda peer: peer.send(response(peer.request().body))) as up:
        with serving(Proxy(target=up.url)) as place, connected(place) as client:
            client.sendall(head)
            assert read_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.sendall(b"hello")
            assert read_until(client, b"hello").startswith(b"HTTP/1.1 200 OK")
        assert up.asked[0].get("expect") is None
    with serving(Proxy(target="http://127.0.0.1:1")) as place, connected(place) as client:
        client.sendall(head)
        assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 502")


def test_an_upload_that_the_client_breaks_off_never_looks_whole() -> None:
    ended = threading.Event()

    def waiting(peer: Peer) -> None:
        try:
            peer.request()
        except (EOFError, OSError):
            ended.set()
            raise

    for framing in (b"Content-Length: 100", b"Transfer-Encoding: chunked"):
        ended.clear()
        with upstream(waiting) as up, serving(Proxy(target=up.url)) as place:
            with connected(place) as client:
                client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n5\r\nhello\r\n" % framing)
                wait_until(lambda up=up: len(up.asked) == 1)
            assert ended.wait(10)


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("begun", [False, True], ids=["before the head", "within the body"])
def test_a_client_that_goes_away_takes_its_request_along(how: str, begun: bool) -> None:
    gone = threading.Event()

    def silent(peer: Peer) -> None:
        peer.request()
        if begun:
            peer.send(CHUNKED + chunk(b"first"))
        if peer.ended():
            gone.set()

    with upstream(silent) as up, serving(Proxy(target=up.url)) as place:
        with connected(place) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            wait_until(lambda: len(up.asked) == 1)
            if begun:
                read_until(client, b"first")
            if how == "reset":
                reset(client)
        assert gone.wait(5)


def test_a_client_that_has_no_more_to_send_is_answered() -> None:
    with upstream(lambda peer: (time.sleep(0.1), peer.answer(response()))) as up:
        app = Proxy(target=up.url)
        with serving(app) as place, connected(place) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            assert read_all(client).endswith(b"from upstream")


def test_further_requests_that_come_meanwhile_are_answered_in_their_turn() -> None:
    def slow(peer: Peer) -> None:
        asked = peer.request()
        time.sleep(0.1)
        peer.send(response(asked.path.encode()))

    with upstream(slow) as up, serving(Proxy(target=up.url)) as place, connected(place) as client:
        requests = [b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(3)]
        client.sendall(requests[0])
        wait_until(lambda: len(up.asked) == 1)
        client.sendall(requests[1] + requests[2][:10])
        read_until(client, b"\r\n\r\n/1")
        client.sendall(requests[2][10:])
        read_until(client, b"\r\n\r\n/2")


def test_an_iterable_that_is_closed_early_closes_the_connection() -> None:
    gone = threading.Event()

    def silent(peer: Peer) -> None:
        peer.answer(CHUNKED + chunk(b"first"))
        if peer.ended():
            gone.set()

    with upstream(silent) as up:
        iterable = Proxy(target=up.url)(make_environ(), Recorder())
        assert next(iter(iterable)) == b"first"
        iterable.close()
        assert gone.wait(5)


# WebSocket.


@pytest.fixture
def echoing() -> Iterator[int]:
    """The port of a WebSocket server that says everything twice."""

    def echo(connection: object) -> None:
        for message in connection:  # type: ignore[attr-defined]
            connection.send(message)  # type: ignore[attr-defined]
            connection.send(message)  # type: ignore[attr-defined]

    with websockets_server(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            server.shutdown()
            thread.join(10)


def test_a_websocket_is_passed_on(echoing: int) -> None:
    with serving(Proxy(target=f"http://127.0.0.1:{echoing}")) as (host, port):
        with websocket(f"ws://{host}:{port}/chat") as connection:
            for message in ("hello", b"\x00" * 300_000, "x" * 70_000):
                connection.send(message)
                assert [connection.recv(10), connection.recv(10)] == [message, message]
        assert ask((host, port), "/").status == 426


def test_a_websocket_ends_with_its_client(echoing: int) -> None:
    app = Proxy(target=f"http://127.0.0.1:{echoing}")
    with serving(app) as (host, port), websocket(f"ws://{host}:{port}/") as connection:
        connection.send("hello")
        assert connection.recv(10) == "hello"
        connection.socket.shutdown(socket.SHUT_RDWR)


def test_a_stop_ends_a_websocket_soon(echoing: int) -> None:
    with make_server("127.0.0.1", 0, Proxy(target=f"http://127.0.0.1:{echoing}")) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        host, port = server.server_address
        with websocket(f"ws://{host}:{port}/") as connection:
            connection.send("hello")
            assert connection.recv(10) == "hello"
            began = time.monotonic()
            server.shutdown()
            thread.join(10)
            assert time.monotonic() - began < 5
            with pytest.raises(ConnectionClosed):
                for _ in range(3):
                    connection.recv(10)


def test_a_silent_websocket_is_closed(echoing: int) -> None:
    app = Proxy(target=f"http://127.0.0.1:{echoing}", websocket_timeout="200ms")
    closed = pytest.raises(ConnectionClosed)
    with serving(app) as (host, port), websocket(f"ws://{host}:{port}/") as connection, closed:
        connection.recv(10)


def test_a_websocket_has_no_way_through_wsgi(echoing: int) -> None:
    environ = make_environ(HTTP_UPGRADE="websocket", HTTP_CONNECTION="upgrade")
    outcome = run(Proxy(target=f"http://127.0.0.1:{echoing}"), environ)
    assert outcome.status == "501 Not Implemented"
    assert b"onionskin's own server" in outcome.body
    outcome = run(Proxy(target=f"http://127.0.0.1:{echoing}", websocket=False), environ)
    assert outcome.status == "426 Upgrade Required"


@pytest.mark.parametrize("protocol", [b"h2c", b""], ids=["another", "none"])
def test_a_switch_to_what_was_not_asked_for_is_a_bad_gateway(protocol: bytes) -> None:
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: %b\r\nConnection: upgrade\r\n\r\n" % protocol
    with upstream(lambda peer: peer.answer(switch)) as up, serving(Proxy(target=up.url)) as place:
        assert ask(place, "/").status == 502
        asked = [("Upgrade", "websocket"), ("Connection", "upgrade")]
        assert ask(place, "/", headers=asked).status == 502
