"""HTTP/2 from clients that mean no good, by frames: what is refused, what ends, and who goes on."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hyperframe import frame as frames

from server.process import Server, wait_until
from support.http2 import PATIENCE, PREFACE, Ended, RawClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CANCEL, PROTOCOL_ERROR, REFUSED_STREAM, CALM = 0x8, 0x1, 0x7, 0xB
GONE = (Ended, ConnectionError)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for all who mean no good, and for one who means well at the end of each test."""
    with Server("--max-head", "16KiB", "--write-timeout", "1s", "--header-timeout", "1s") as running:
        yield running
        assert "panicked" not in running.log
        assert running.stop() == 0


@pytest.fixture(autouse=True)
def others_are_served(server: Server) -> Iterator[None]:
    """Whatever a client does, the next one is served."""
    yield
    with RawClient(server.port) as client:
        assert client.response(client.request("/hello")) == (200, b"hello")


def outcome(client: RawClient, stream: int) -> int | str:
    """The status that a stream got, or how it ended."""
    while True:
        frame = client.frame()
        if isinstance(frame, frames.GoAwayFrame):
            return "connection"
        if frame.stream_id == stream and isinstance(frame, frames.RstStreamFrame):
            return "stream"
        if frame.stream_id == stream and isinstance(frame, frames.HeadersFrame):
            return int(dict(client.decoder.decode(frame.data))[":status"])


@pytest.mark.parametrize(
    ("path", "fields", "pseudo", "expected"),
    [
        ("/hello", [("host", "b")], {}, 400),
        ("/hello", [("host", "a"), ("host", "a")], {}, 400),
        ("/hello", [], {"authority": "a b"}, "stream"),
        ("/hello", [], {"authority": "a/b"}, "stream"),
        ("/hello", [], {"authority": "a@b"}, 400),
        ("/hello", [], {"authority": ""}, 400),
        ("hello", [], {}, ("stream", 400)),
        ("http://a/hello", [], {}, ("stream", 400)),
        ("*", [], {}, 400),
        ("/%00", [], {}, 400),
        ("/%c0%ae", [], {}, 400),
        ("/hello", [], {"method": "g t"}, ("stream", "connection", 400)),
        ("/hello?\x00", [], {}, ("stream", "connection", 400)),
        ("/hello#x", [], {}, "stream"),
        ("/hello?x#", [], {}, "stream"),
        ('/hello?"', [], {}, "stream"),
        ("/hello?`\\^{|}", [], {}, 200),
        ("/hello", [("connection", "close")], {}, "stream"),
        ("/hello", [("transfer-encoding", "chunked")], {}, "stream"),
        ("/hello", [("upgrade", "websocket")], {}, "stream"),
        ("/hello", [("te", "gzip")], {}, "stream"),
        ("/hello", [("Upper", "case")], {}, "connection"),
        ("/hello", [("x", "a\r\nb: c")], {}, "connection"),
        ("/hello", [("x", "a\0b")], {}, "connection"),
        ("/hello", [("content-type", "a"), ("content-type", "b")], {}, 400),
        ("/hello", [("content-length", "0x1")], {}, ("stream", 400)),
        ("/hello", [("content-length", "1"), ("content-length", "2")], {}, ("stream", 400)),
        ("/hello", [("content-length", "5")], {}, ("stream", 400)),
        ("/hello", [("expect", "miracles")], {}, 417),
        ("/hello", [(f"x-{number}", "y") for number in range(200)], {}, 431),
        ("/hello", [("x", "a" * 20_000)], {}, 431),
        ("/" + "x" * 9000, [], {}, 414),
    ],
)
def test_a_request_that_can_be_read_in_two_ways_is_refused(
    server: Server,
    path: str,
    fields: list[tuple[str, str]],
    pseudo: dict[str, str],
    expected: int | str | tuple[int | str, ...],
) -> None:
    with RawClient(server.port) as client:
        stream = client.request(path, *fields, **pseudo)
        got = outcome(client, stream)
    assert got in (expected if isinstance(expected, tuple) else (expected,))


@pytest.mark.parametrize("huffman", [False, True])
def test_a_fragment_is_rejected_however_it_is_encoded(server: Server, huffman: bool) -> None:
    with RawClient(server.port) as client:
        for _ in range(2):  # The second time it is a reference to the table.
            path = "/hello?x=1#" + "y" * 30
            block = client.encoder.encode(
                [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)], huffman
            )
            client.stream += 2
            client.send(frames.HeadersFrame(client.stream, block, flags=["END_HEADERS", "END_STREAM"]))
            assert outcome(client, client.stream) == "stream"
        assert client.response(client.request("/hello")) == (200, b"hello")


@pytest.mark.parametrize("sent", [b"xx", b"x" * 20])
def test_a_body_that_is_not_as_long_as_announced_is_a_reset(server: Server, sent: bytes) -> None:
    with RawClient(server.port) as client:
        stream = client.request("/reads?name=wrong", ("content-length", "10"), body=sent)
        assert outcome(client, stream) in ("stream", 400)
    assert "read 2 wrong" not in server.log and "read 20 wrong" not in server.log


def test_requests_that_are_taken_back_end_the_connection(server: Server) -> None:
    with RawClient(server.port) as client:
        with contextlib.suppress(*GONE):
            for _ in range(5000):
                stream = client.request("/endless?name=rapid")
                client.send(frames.RstStreamFrame(stream, CANCEL))
        client.reason_of_end()
    # Each may have been begun before it was taken back, but no more than were allowed.
    wait_until(lambda: server.log.count("closed rapid") <= 300)


def test_some_requests_that_are_taken_back_end_nothing(server: Server) -> None:
    with RawClient(server.port) as client:
        for _ in range(300):
            stream = client.request("/hello")
            client.send(frames.RstStreamFrame(stream, CANCEL))
            assert client.response(client.request("/hello"))[0] == 200


def test_more_streams_than_allowed_are_refused(server: Server) -> None:
    with RawClient(server.port) as client:
        settings = client.until(frames.SettingsFrame).settings
        assert settings[frames.SettingsFrame.MAX_CONCURRENT_STREAMS] == 100
        for _ in range(101):
            stream = client.request("/reads", body=b"x", end=False)
        refused = client.until(frames.RstStreamFrame, stream)
        assert refused.error_code == REFUSED_STREAM


def test_fields_without_end_end_the_connection(server: Server) -> None:
    with RawClient(server.port) as client:
        client.send(frames.HeadersFrame(1, client.head("/hello"), flags=["END_STREAM"]))
        block = client.encoder.encode([("x", "y" * 1000)], huffman=False)
        with contextlib.suppress(*GONE):
            for _ in range(5000):
                client.send(frames.ContinuationFrame(1, block))
        assert client.reason_of_end() in (CALM, PROTOCOL_ERROR, None)


def test_empty_continuations_without_end_end_the_connection(server: Server) -> None:
    with RawClient(server.port) as client:
        client.send(frames.HeadersFrame(1, client.head("/hello"), flags=["END_STREAM"]))
        with contextlib.suppress(*GONE):
            for _ in range(50_000):
                client.send(*[frames.ContinuationFrame(1, b"")] * 20)
        assert client.reason_of_end() in (CALM, PROTOCOL_ERROR, None)


def test_empty_data_without_end_ends_the_connection(server: Server) -> None:
    with RawClient(server.port) as client:
        stream = client.request("/reads", body=b"", end=False)
        with contextlib.suppress(*GONE):
            for _ in range(5000):
                client.send(*[frames.DataFrame(stream, b"")] * 100)
        assert client.reason_of_end() in (CALM, PROTOCOL_ERROR, None)


UNKNOWN = bytes([0, 0, 0, 0x77, 0, 0, 0, 0, 0])
IDLE = {
    "PRIORITY": frames.PriorityFrame(3, 0, 16).serialize(),
    "SETTINGS": frames.SettingsFrame(0, {}).serialize(),
    "unknown": UNKNOWN,
}


@pytest.mark.parametrize("kind", IDLE)
def test_many_frames_that_ask_for_nothing_end_the_connection(server: Server, kind: str) -> None:
    with RawClient(server.port) as client:
        client.socket.sendall(IDLE[kind] * 50)
        assert client.response(client.request("/hello")) == (200, b"hello")
        with contextlib.suppress(*GONE):
            client.socket.sendall(IDLE[kind] * 5000)
        with contextlib.suppress(*GONE):
            client.response(client.request("/hello"))
        assert client.reason_of_end() is None


def test_a_request_makes_up_for_some_frames_that_ask_for_nothing(server: Server) -> None:
    with RawClient(server.port) as client:
        for _ in range(100):
            client.socket.sendall(UNKNOWN * 8)
            assert client.response(client.request("/hello")) == (200, b"hello")


@pytest.mark.parametrize("flood", ["pings", "settings"])
def test_a_flood_whose_answers_nobody_takes_takes_no_memory(server: Server, flood: str) -> None:
    def resident() -> int:
        return int(Path(f"/proc/{server.popen.pid}/statm").read_text().split()[1]) * 4096

    before = resident()
    frame = frames.PingFrame(0, b"12345678") if flood == "pings" else frames.SettingsFrame(0, {})
    data = frame.serialize() * 1000
    with RawClient(server.port) as client:
        client.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError, *GONE):
            for _ in range(3000):
                client.socket.sendall(data)
    assert resident() - before < 32 << 20


def test_a_window_that_stays_shut_is_a_reset(server: Server) -> None:
    shut = {frames.SettingsFrame.INITIAL_WINDOW_SIZE: 0}
    with RawClient(server.port, settings=shut) as client:
        stream = client.request("/endless?name=shut")
        assert client.until(frames.RstStreamFrame, stream).error_code == CANCEL
        server.wait_for_line("closed shut")


def test_a_client_that_takes_nothing_at_all_is_given_up(server: Server) -> None:
    with RawClient(server.port, settings={frames.SettingsFrame.INITIAL_WINDOW_SIZE: 1 << 30}) as client:
        client.send(frames.WindowUpdateFrame(0, window_increment=1 << 30))
        client.request("/endless?name=untaken")
        server.wait_for_line("closed untaken")


@pytest.mark.parametrize("sent", [PREFACE[:16], PREFACE[:20], PREFACE, PREFACE + b"\0\0\0"])
def test_a_greeting_that_never_ends_is_given_up(server: Server, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        client.sendall(sent)
        with contextlib.suppress(ConnectionError):
            while client.recv(1 << 16):
                pass


@pytest.mark.parametrize(
    "garbage",
    [
        frames.DataFrame(1, b"x").serialize(),
        frames.HeadersFrame(2, b"\x82\x84\x86", flags=["END_HEADERS", "END_STREAM"]).serialize(),
        frames.HeadersFrame(1, b"\xff\xff\xff\xff\xff\xff", flags=["END_HEADERS", "END_STREAM"]).serialize(),
        frames.PingFrame(0, b"12345678").serialize()[:-1].replace(b"\0\0\x08", b"\0\0\x07", 1),
        frames.WindowUpdateFrame(0, window_increment=1).serialize()[:-4] + b"\0\0\0\0",
        frames.PushPromiseFrame(1, 2, b"", flags=["END_HEADERS"]).serialize(),
        b"\xff\xff\xff\0\0\0\0\0\1" + b"x" * 100,
    ],
)
def test_frames_that_break_the_protocol_end_the_connection(server: Server, garbage: bytes) -> None:
    with RawClient(server.port) as client:
        client.until(frames.SettingsFrame)
        with contextlib.suppress(*GONE):
            client.socket.sendall(garbage)
        assert client.reason_of_end() not in (0,)


def test_an_idle_connection_is_closed_whatever_pings_come(serve: Callable[..., Server]) -> None:
    server = serve("--keep-alive", "300ms")
    with RawClient(server.port) as client, contextlib.suppress(*GONE):
        while True:
            client.send(frames.PingFrame(0, b"12345678"))
            ping = client.until(frames.PingFrame)
            if "ACK" not in ping.flags:
                client.send(frames.PingFrame(0, ping.opaque_data, flags=["ACK"]))
