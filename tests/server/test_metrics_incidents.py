"""Metrics of what befalls connections and the queue: what was shed, refused, or never came to a request."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING

import pytest
from hyperframe import frame as frames

from server.client import Client
from server.process import PATIENCE, wait_until
from server.scraping import scrape
from support.authority import Authority
from support.http2 import Ended, RawClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.process import Server
    from server.scraping import Numbers

    Metered = Callable[..., tuple[Server, Callable[[], Numbers]]]

CANCEL = 0x8
TLS = ("https://127.0.0.1:0",)


@pytest.fixture
def metered(serve: Callable[..., Server], tmp_path: Path) -> Metered:
    """A server, and a way to its numbers."""
    place = f"unix:{tmp_path / 'metrics.sock'}"

    def start(*options: str, **settings: object) -> tuple[Server, Callable[[], Numbers]]:
        return serve("--metrics-bind", place, *options, **settings), lambda: scrape(place)

    return start


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom the clients of a test believe."""
    return Authority(tmp_path)


def test_a_server_to_which_nothing_has_happened_tells_so(metered: Metered) -> None:
    server, numbers = metered()
    told = numbers()
    for name in (
        "connections_shed_total",
        "accept_failures_total",
        "proxy_protocol_refused_total",
        'tls_handshakes_total{resumed="no"}',
        'tls_handshakes_total{resumed="yes"}',
        'tls_handshake_failures_total{reason="client gone"}',
        'tls_handshake_failures_total{reason="refused"}',
        'tls_handshake_failures_total{reason="timeout"}',
        "http2_resets_exceeded_total",
        'queue_refused_total{reason="full"}',
        'queue_refused_total{reason="timeout"}',
    ):
        assert told[name] == 0, name
    assert told["connections_limit"] > 100
    (version,) = (name for name in told if name.startswith("build_info"))
    assert version.startswith('build_info{version="0.')
    assert 0 <= time.time() - told["start_time_seconds"] < PATIENCE
    assert 0 < told["cpu_seconds_total"] <= server.cpu_time() + 1
    assert told["memory_bytes"] > 1 << 20


def test_idle_connections_that_make_room_are_counted(metered: Metered) -> None:
    server, numbers = metered("--connections", "2")
    clients = [server.client() for _ in range(2)]
    for client in clients:
        assert client.get("/hello").status == 200
    with server.client() as third:
        assert third.get("/hello").status == 200
    assert clients[0].is_ended()
    told = numbers()
    assert (told["connections_shed_total"], told["connections_limit"]) == (1, 2)


def test_a_want_of_descriptors_is_counted(metered: Metered) -> None:
    server, numbers = metered(most_files=64)
    with server.client() as hoarder:
        assert int(hoarder.get("/hoard").body) > 0
        # The hoarder has to go for one of them: it is idle.
        crowd = [server.client() for _ in range(8)]
        server.wait_for_line("no connection can be accepted for now")
        for client in crowd:
            client.close()
    assert server.get("/let_go")
    wait_until(lambda: numbers()["accept_failures_total"] >= 1)


def test_handshakes_are_counted_by_how_they_end(metered: Metered, authority: Authority) -> None:
    pair = authority.pair("localhost").options
    server, numbers = metered(*pair, "--tls-handshake-timeout", "1s", bind=TLS)
    place = server.places[0].replace("https:", "http:")
    context = authority.context()

    def agreed(session: object = None) -> object:
        with Client(place, PATIENCE) as client:
            secured = context.wrap_socket(client.socket, server_hostname="localhost", session=session)
            client.socket = secured
            assert client.get("/hello").status == 200
            return secured.session

    agreed(agreed())
    with Client(place, PATIENCE) as garbled:
        garbled.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert garbled.rest().startswith(b"HTTP/1.1 400")
    Client(place, PATIENCE).close()
    with Client(place, PATIENCE) as silent:
        assert silent.is_ended()

    def told() -> Numbers:
        return {name: number for name, number in numbers().items() if name.startswith("tls_")}

    expected = {
        'tls_handshakes_total{resumed="no"}': 1,
        'tls_handshakes_total{resumed="yes"}': 1,
        'tls_handshake_failures_total{reason="client gone"}': 1,
        'tls_handshake_failures_total{reason="refused"}': 1,
        'tls_handshake_failures_total{reason="timeout"}': 1,
    }
    wait_until(lambda: told() == expected)


def test_connections_without_a_header_that_is_believed_are_counted(metered: Metered) -> None:
    server, numbers = metered("--proxy-protocol-from", "127.0.0.1")
    with server.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.is_ended()
    wait_until(lambda: numbers()["proxy_protocol_refused_total"] == 1)


def test_clients_that_take_back_too_many_requests_are_counted(metered: Metered) -> None:
    server, numbers = metered("--http2-resets", "5")
    with RawClient(server.port) as client, contextlib.suppress(Ended, OSError):
        for number in range(50):
            stream = client.request(f"/endless?name={number}")
            client.until(frames.DataFrame, stream)
            update = frames.WindowUpdateFrame(0, window_increment=1 << 20)
            client.send(frames.RstStreamFrame(stream, CANCEL), update)
    wait_until(lambda: numbers()["http2_resets_exceeded_total"] == 1)


def test_clients_that_send_too_many_idle_frames_are_counted(metered: Metered) -> None:
    server, numbers = metered("--http2-resets", "5")
    with RawClient(server.port) as client, contextlib.suppress(Ended, OSError):
        client.send(*[frames.PriorityFrame(3, 0, 16)] * 100)
        client.response(client.request("/hello"))
    wait_until(lambda: numbers()["http2_resets_exceeded_total"] == 1)
    assert server.log.count("too many HTTP/2 frames") == 1


def test_requests_that_the_queue_turns_away_are_counted(metered: Metered, tmp_path: Path) -> None:
    server, numbers = metered("--queue", "1", "--queue-timeout", "300ms", threads=1)
    with server.client() as first, server.client() as second, server.client() as third:
        first.request("GET", f"/hold?file={tmp_path / 'go'}")
        server.wait_for_line("event: holding")
        second.request("GET", "/hello")
        wait_until(lambda: numbers()["application_queue"] == 1)
        assert third.get("/hello").status == second.response().status == 503
        (tmp_path / "go").touch()
        assert first.response().status == 200
    told = numbers()
    assert told['queue_refused_total{reason="full"}'] == told['queue_refused_total{reason="timeout"}'] == 1


def test_the_time_that_is_computed_is_counted(metered: Metered) -> None:
    server, numbers = metered()
    before = numbers()["cpu_seconds_total"]
    assert server.get("/grip?count=10000000")
    spent = numbers()["cpu_seconds_total"] - before
    assert abs(server.cpu_time() - numbers()["cpu_seconds_total"]) < 0.1 + 2 / os.sysconf("SC_CLK_TCK")
    assert spent > 0.01


def test_bodies_in_temporary_files_are_measured(metered: Metered, tmp_path: Path) -> None:
    server, numbers = metered("--spool-memory", "1KiB", threads=1)
    held = 'spool_bytes{kind="request"}'
    with server.client() as first, server.client() as second:
        first.request("GET", f"/hold?file={tmp_path / 'go'}")
        server.wait_for_line("event: holding")
        second.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"x" * 60_000)
        wait_until(lambda: numbers()[held] == 60_000)
        second.send(b"x" * 40_000)
        wait_until(lambda: numbers()[held] == 100_000)
        (tmp_path / "go").touch()
        assert first.response().status == 200
        assert second.response().body.startswith(b"100000 ")
    wait_until(lambda: numbers()[held] == 0)


@pytest.mark.parametrize("is_taken", [True, False], ids=["taken", "cut"])
def test_responses_in_temporary_files_are_measured(metered: Metered, is_taken: bool) -> None:
    server, numbers = metered("--write-timeout", "1s")
    held = 'spool_bytes{kind="response"}'
    with server.client() as client:
        client.request("GET", "/large?blocks=256&name=slow")
        server.wait_for_line("event: closed slow on")
        assert numbers()[held] > 1 << 20
        if is_taken:
            assert len(client.response().body) == 256 * 65536
        wait_until(lambda: numbers()[held] == 0)
    wait_until(lambda: numbers()['requests_aborted_total{reason="write timeout"}'] == (not is_taken))
