"""Limits for each client address: what one client holds is no more than its share, and others are served."""

from __future__ import annotations

import json
import select
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hyperframe import frame as frames

from server.client import Client, Ended
from server.process import wait_until
from server.scraping import scrape
from support.authority import Authority
from support.http2 import RawClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from server.process import Server

SOON = 10.0
# Not this machine as a whole, so that addresses of it can be limited.
COUNTED = ("--address-exempt", "127.0.0.1,127.0.0.9")
GREEDY, OTHER, EXEMPT = "127.0.0.2", "127.0.0.3", "127.0.0.9"
HALF = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab"
REFUSED_STREAM = 7


@pytest.fixture
def open_client() -> Iterator[Callable[..., Client]]:
    """Opens connections that are closed with the test."""
    with ExitStack() as clients:

        def opened(server: Server, source: str, place: int = 0) -> Client:
            return clients.enter_context(Client(server.places[place], SOON, source))

        yield opened


def is_closed(client: Client) -> bool:
    """Whether the server has closed the connection without a word."""
    try:
        return client.socket.recv(1) == b""
    except ConnectionResetError:
        return True


def hold(server: Server, *clients: Client) -> None:
    """Sends the first half of a request on each, and waits until all are in flight."""
    before = in_flight(server)
    for client in clients:
        client.send(HALF)
    wait_until(lambda: in_flight(server) == before + len(clients))


def in_flight(server: Server) -> float:
    """How many requests are being answered."""
    return scrape(server.places[0], "/-/metrics")["requests_in_flight"]


def exceeded(server: Server, limit: str) -> float:
    """How often a limit was exceeded, by the metrics."""
    return scrape(server.places[0], "/-/metrics")[f'address_limit_exceeded_total{{limit="{limit}"}}']


def test_further_connections_of_an_address_are_closed(
    serve: Callable[..., Server], open_client: Callable[..., Client]
) -> None:
    server = serve("--address-connections", "3", *COUNTED, "--metrics-path", "/-/metrics")
    held = [open_client(server, GREEDY) for _ in range(3)]
    assert [client.get("/hello").status for client in held] == [200] * 3
    assert all(is_closed(open_client(server, GREEDY)) for _ in range(5))
    for source in (OTHER, *[EXEMPT] * 5):
        assert open_client(server, source).get("/hello").body == b"hello"
    assert server.wait_for_line(r"127\.0\.0\.2 has 3 connections open: further ones are closed")
    assert server.log.count("address_connections") == 1
    held.pop().close()
    wait_until(lambda: not is_closed_at_once(server))
    assert exceeded(server, "connections") >= 5


def is_closed_at_once(server: Server) -> bool:
    """Whether a new connection of the greedy address is one too many."""
    with Client(server.places[0], SOON, GREEDY) as client:
        try:
            return client.get("/hello").status != 200
        except (Ended, ConnectionError):
            return True


def test_further_requests_of_an_address_are_answered_429_and_connections_are_kept(
    serve: Callable[..., Server], open_client: Callable[..., Client]
) -> None:
    server = serve("--address-requests", "2", *COUNTED, "--metrics-path", "/-/metrics")
    held = [open_client(server, GREEDY) for _ in range(2)]
    hold(server, *held)
    further = open_client(server, GREEDY)
    response = further.get("/hello")
    assert (response.status, response.header("Retry-After")) == (429, "1")
    assert response.body == b"too many requests at once from this address\n"
    further.request("POST", "/echo", body=b"not read by the application")
    assert further.response().status == 429
    for source in (OTHER, EXEMPT, EXEMPT, EXEMPT):
        other = open_client(server, source)
        other.send(HALF + b"cd")
        assert other.response().body.startswith(b"4 ")
    assert server.wait_for_line(r"127\.0\.0\.2 has 2 requests in flight: further ones are rejected")
    held[0].send(b"cd")
    assert held[0].response().status == 200
    assert [further.get("/hello").status for _ in range(5)] == [200] * 5
    assert exceeded(server, "requests") == 2


def test_a_request_that_its_client_gives_up_counts_no_longer(
    serve: Callable[..., Server], open_client: Callable[..., Client]
) -> None:
    server = serve("--address-requests", "1", *COUNTED, "--metrics-path", "/-/metrics")
    for _ in range(5):
        broken_off = open_client(server, GREEDY)
        hold(server, broken_off)
        further = open_client(server, GREEDY)
        assert further.get("/hello").status == 429
        broken_off.close()
        wait_until(lambda: further.get("/hello").status == 200)  # noqa: B023


@pytest.mark.parametrize("path", ["/raises", "/large", "/quick_generator", "/overrun", "/late_head"])
def test_every_kind_of_response_gives_its_place_back(
    serve: Callable[..., Server], open_client: Callable[..., Client], path: str
) -> None:
    server = serve("--address-requests", "1", *COUNTED)
    for _ in range(5):
        # The client may have all of it just before the server is done with it.
        wait_until(lambda: open_client(server, GREEDY).get(path).status != 429, timeout=1)


def test_further_streams_of_an_address_are_refused(serve: Callable[..., Server]) -> None:
    server = serve("--address-requests", "3", *COUNTED, "--metrics-path", "/-/metrics")
    with RawClient(server.port, source=GREEDY) as one, RawClient(server.port, source=GREEDY) as other:
        before = in_flight(server)
        held = [one.request("/echo", body=b"ab", end=False) for _ in range(3)]
        wait_until(lambda: in_flight(server) == before + 3)
        refused = other.until(frames.RstStreamFrame, other.request("/hello"))
        assert refused.error_code == REFUSED_STREAM
        with RawClient(server.port, source=OTHER) as neighbour:
            assert neighbour.response(neighbour.request("/hello"))[0] == 200
        with Client(server.places[0], SOON, GREEDY) as http1:
            assert http1.get("/hello").status == 429
        one.send(frames.DataFrame(held[0], b"cd", flags=["END_STREAM"]))
        assert one.response(held[0])[0] == 200
        assert other.response(other.request("/hello")) == (200, b"hello")
    assert exceeded(server, "requests") >= 2
    assert server.stop() == 0
    assert "panicked" not in server.log


def test_further_handshakes_of_an_address_are_dropped(serve: Callable[..., Server], tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    options = (*authority.pair("localhost").options, "--metrics-path", "/-/metrics")
    bind = ("http://127.0.0.1:0", "https://127.0.0.1:0")
    server = serve("--address-handshakes", "2", *COUNTED, *options, bind=bind)
    port = int(server.places[1].rsplit(":", 1)[1])
    context = authority.context()

    def hello(source: str) -> bytes:
        plain = socket.create_connection(("127.0.0.1", port), SOON, (source, 0))
        with context.wrap_socket(plain, server_hostname="localhost") as secured:
            secured.sendall(b"GET /hello HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: secured.recv(4096), b""))

    with ExitStack() as held:
        silent = [
            held.enter_context(socket.create_connection(("127.0.0.1", port), SOON, (GREEDY, 0)))
            for _ in range(5)
        ]
        wait_until(lambda: len(select.select(silent, [], [], 0)[0]) == 3)
        for source in (OTHER, EXEMPT):
            assert hello(source).endswith(b"hello")
        assert server.wait_for_line(r"127\.0\.0\.2 has 2 TLS handshakes in progress: further ones are drop")
        for client in silent:
            client.close()
        # A handshake that is done counts no longer.
        wait_until(lambda: is_served(hello))
        assert [is_served(hello) for _ in range(5)] == [True] * 5
    assert exceeded(server, "handshakes") >= 1


def is_served(hello: Callable[[str], bytes]) -> bool:
    """Whether the greedy address may make a handshake."""
    try:
        return hello(GREEDY).endswith(b"hello")
    except OSError:
        return False


@pytest.mark.parametrize("exempt", [(), ("--address-exempt", "::2,127.0.0.0/8")])
def test_this_machine_is_exempt_by_default_and_ipv6_addresses_are_counted_if_not(
    serve: Callable[..., Server], open_client: Callable[..., Client], exempt: tuple[str, ...]
) -> None:
    server = serve("--address-connections", "1", *exempt, bind=("[::1]:0", "127.0.0.1:0"))
    assert open_client(server, "").get("/hello").status == 200
    further = open_client(server, "")
    if exempt:
        assert is_closed(further)
        assert server.wait_for_line(r"::/64 has 1 connections open")
    else:
        assert further.get("/hello").status == 200
    assert all(open_client(server, GREEDY, place=1).get("/hello").status == 200 for _ in range(3))


def test_behind_a_balancer_the_address_of_the_client_counts(serve: Callable[..., Server]) -> None:
    server = serve("--address-connections", "1", "--proxy-protocol-from", "127.0.0.0/8")

    def connected(client: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", server.port), SOON)
        connection.sendall(f"PROXY TCP4 {client} 192.0.2.9 4000 443\r\n".encode())
        connection.sendall(b"GET /environ_as_json HTTP/1.1\r\nHost: a\r\n\r\n")
        return connection

    def answered(connection: socket.socket) -> bytes:
        try:
            return connection.recv(1 << 16)
        except ConnectionResetError:
            return b""

    with ExitStack() as held:
        for client, is_served in [
            ("192.0.2.1", True),
            ("192.0.2.1", False),
            ("192.0.2.2", True),
            ("10.0.0.1", True),
            ("10.0.0.1", True),
        ]:
            connection = held.enter_context(connected(client))
            assert answered(connection).startswith(b"HTTP/1.1 200") == is_served, client


def test_a_unix_socket_has_no_addresses(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve("--address-connections", "1", *COUNTED, bind=(f"unix:{tmp_path / 'socket'}",))
    with ExitStack() as held:
        clients = [held.enter_context(Client(server.places[0], SOON)) for _ in range(3)]
        texts = [json.loads(client.get("/environ_as_json").body)["texts"] for client in clients]
        assert [text.get("REMOTE_ADDR") for text in texts] == [""] * 3
