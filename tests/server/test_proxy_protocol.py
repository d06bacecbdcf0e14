"""The PROXY protocol: a balancer's word about its client, taken from those who are believed only."""

from __future__ import annotations

import json
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any

import pytest

from support.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.process import Server

BELIEVED = ("--proxy-protocol-from", "127.0.0.0/8,::1")
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LINE = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"
SECOND = SIGNATURE + struct.pack("!BBH4s4sHH", 0x21, 0x11, 12, b"\xc0\0\2\1", b"\xc0\0\2\2", 56324, 443)
LOCAL = SIGNATURE + b"\x20\0\0\0"
REQUEST = b"GET /environ_as_json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
PATIENCE = 10.0


def connected(server: Server) -> socket.socket:
    """A connection to the first place."""
    place = server.places[0]
    if place.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(place.removeprefix("unix:"))
        return connection
    return socket.create_connection(("127.0.0.1", server.port), PATIENCE)


def answer(connection: socket.socket) -> bytes:
    """What comes until the end."""
    blocks = []
    try:
        while block := connection.recv(1 << 16):
            blocks.append(block)
    except ConnectionResetError:
        pass
    return b"".join(blocks)


def texts(came: bytes) -> dict[str, Any]:
    """What the application was told."""
    told: dict[str, Any] = json.loads(came.partition(b"\r\n\r\n")[2])["texts"]
    return told


@pytest.mark.parametrize("header", [LINE, SECOND], ids=["version 1", "version 2"])
@pytest.mark.parametrize("place", ["tcp", "unix"])
def test_applications_are_told_the_addresses_that_a_balancer_tells(
    serve: Callable[..., Server], tmp_path: Path, header: bytes, place: str
) -> None:
    bind = f"unix:{tmp_path / 'site.sock'}" if place == "unix" else "127.0.0.1:0"
    with connected(serve(*BELIEVED, bind=(bind,))) as connection:
        for byte in header[:-1]:
            connection.sendall(bytes([byte]))
        connection.sendall(header[-1:] + REQUEST)
        told = texts(answer(connection))
    names = ("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT")
    assert [told[name] for name in names] == ["192.0.2.1", "56324", "192.0.2.2", "443"]


def test_tls_comes_behind_the_header(serve: Callable[..., Server], tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = serve(*BELIEVED, *authority.pair("localhost").options, bind=("https://127.0.0.1:0",))
    outgoing, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = authority.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with connected(server) as connection:
        with pytest.raises(ssl.SSLWantReadError):
            session.do_handshake()
        # One packet: the hello has come when the header is understood.
        connection.sendall(SECOND + outgoing.read())
        while True:
            incoming.write(connection.recv(1 << 16))
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        session.write(REQUEST)
        connection.sendall(outgoing.read())
        incoming.write(answer(connection))
        told = texts(session.read(1 << 16))
    assert (told["REMOTE_ADDR"], told["wsgi.url_scheme"]) == ("192.0.2.1", "https")


def test_http_2_comes_behind_the_header(serve: Callable[..., Server]) -> None:
    with connected(serve(*BELIEVED)) as connection:
        connection.sendall(LINE + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        assert connection.recv(9)[3] == 4


def test_a_balancer_that_speaks_for_itself_has_its_own_address(serve: Callable[..., Server]) -> None:
    server = serve(*BELIEVED)
    for header in (LOCAL, b"PROXY UNKNOWN\r\n"):
        with connected(server) as connection:
            connection.sendall(header + REQUEST)
            assert texts(answer(connection))["REMOTE_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize(
    "sent",
    [
        REQUEST,
        b"PROXY TCP4 192.0.2.1 192.0.2.2 65iii 443\r\n" + REQUEST,
        b"PROXY TCP4 192.0.2.1 192.0.2.2 100000 443\r\n" + REQUEST,
        b"PROXY TCP4 1.2.3.400 192.0.2.2 1 443\r\n" + REQUEST,
        b"PROXY TCP4 " + b"1" * 200 + b"\r\n" + REQUEST,
        SIGNATURE + b"\x21\x11\0\4abcd" + REQUEST,
        SIGNATURE + b"\x21\x11\xff\xff" + REQUEST,
    ],
)
def test_what_is_no_header_closes_the_connection(serve: Callable[..., Server], sent: bytes) -> None:
    server = serve(*BELIEVED)
    with connected(server) as connection:
        connection.sendall(sent)
        assert answer(connection) == b""
    server.wait_for_line("a connection from 127.0.0.1 is closed")


def test_a_second_header_is_no_request(serve: Callable[..., Server]) -> None:
    with connected(serve(*BELIEVED)) as connection:
        connection.sendall(LINE + LINE + REQUEST)
        assert answer(connection).startswith(b"HTTP/1.1 400")


def test_a_header_that_ends_too_soon_is_told_of_and_one_that_never_ends_is_given_up(
    serve: Callable[..., Server],
) -> None:
    server = serve(*BELIEVED, "--header-timeout", "300ms")
    with connected(server) as connection:
        connection.sendall(LINE[:20])
        connection.shutdown(socket.SHUT_WR)
        assert answer(connection) == b""
    server.wait_for_line("it ended in its PROXY header")
    with connected(server) as connection:
        connection.sendall(LINE[:20])
        assert answer(connection) == b""


def test_nobody_else_is_believed_or_served(serve: Callable[..., Server]) -> None:
    server = serve("--proxy-protocol-from", "192.0.2.0/24")
    for sent in (LINE + REQUEST, REQUEST):
        with connected(server) as connection:
            connection.sendall(sent)
            assert answer(connection) == b""
    server.wait_for_line("the PROXY protocol is not taken from it")
    assert server.stop() == 0
    # Whoever knocks does not fill the log: what came again is counted.
    closed = [line for line in server.log.splitlines() if "is closed" in line]
    assert [" repeated once: " in line for line in closed] == [False, True]


def test_without_the_option_a_header_is_no_request(serve: Callable[..., Server]) -> None:
    with connected(serve()) as connection:
        connection.sendall(LINE + REQUEST)
        assert answer(connection).startswith(b"HTTP/1.1 400")
