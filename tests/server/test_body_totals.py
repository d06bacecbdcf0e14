"""What all request bodies together may take, in memory and in files, and who loses when that is used up."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from hyperframe import frame as frames

from server.process import wait_until
from server.scraping import scrape
from support.http2 import RawClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from server.client import Client
    from server.process import Server
    from server.scraping import Numbers

    Metered = Callable[..., tuple[Server, Callable[[], Numbers]]]

IN_FILES = 'spool_bytes{kind="request"}'
REFUSED = 'request_bodies_refused_total{reason="total"}'
KIB, MIB = 1024, 1 << 20
FRAME = 16384


@pytest.fixture
def metered(serve: Callable[..., Server], tmp_path: Path) -> Metered:
    """A server, and a way to its numbers."""
    place = f"unix:{tmp_path / 'metrics.sock'}"

    def start(*options: str, **settings: object) -> tuple[Server, Callable[[], Numbers]]:
        return serve("--metrics-bind", place, *options, **settings), lambda: scrape(place)

    return start


def begin(client: Client, length: int, come: int, path: str = "/echo") -> None:
    """Sends a request, and ``come`` bytes of its body."""
    client.send(b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (path.encode(), length))
    client.send(b"x" * come)


def seen(length: int) -> bytes:
    """What the application answers when it has read so many bytes."""
    return f"{length} {length} {hashlib.sha256(b'x' * length).hexdigest()}".encode()


def test_when_the_memory_is_used_up_bodies_go_to_files(metered: Metered) -> None:
    server, numbers = metered("--body-memory-total", "100KiB")
    clients = [server.client() for _ in range(4)]
    for number, client in enumerate(clients, 1):
        begin(client, 50_000, 40_000)
        wait_until(lambda: numbers()["body_memory_bytes"] + numbers()[IN_FILES] == number * 40_000)  # noqa: B023
    told = numbers()
    assert (told["body_memory_bytes"], told[IN_FILES]) == (80_000, 80_000)
    assert told["body_memory_limit_bytes"] == 100 * KIB
    for client in clients:
        client.send(b"x" * 10_000)
        assert client.response().body == seen(50_000)
        client.close()
    wait_until(lambda: numbers()["body_memory_bytes"] == numbers()[IN_FILES] == 0)
    assert numbers()[REFUSED] == 0
    assert sum("take all of body_memory_total (100KiB)" in line for line in server.lines) == 1


def test_when_the_files_are_full_the_slowest_and_largest_lose(metered: Metered) -> None:
    server, numbers = metered("--max-body", "1MiB", "--body-spool-total", "4MiB")
    slow = [server.client() for _ in range(4)]
    for number, client in enumerate(slow, 1):
        begin(client, MIB, 1_000_000)
        wait_until(lambda: numbers()[IN_FILES] == number * 1_000_000)  # noqa: B023
    for _ in range(2):
        with server.client() as quick:
            begin(quick, MIB, MIB)
            assert quick.response().body == seen(MIB)
            assert numbers()[IN_FILES] <= 4 * MIB
    with slow[0] as client:
        response = client.response()
        assert (response.status, response.header("Retry-After")) == (503, "1")
    assert numbers()[REFUSED] == 1
    for client in slow[1:]:
        client.send(b"x" * (MIB - 1_000_000))
        assert client.response().body == seen(MIB)
        client.close()
    wait_until(lambda: numbers()[IN_FILES] == 0)
    assert sum("take all of body_spool_total (4MiB" in line for line in server.lines) == 1


def test_what_has_arrived_counts_until_it_is_read_and_is_not_given_up(
    metered: Metered, tmp_path: Path
) -> None:
    options = ("--max-body", "1MiB", "--body-spool-total", "2MiB")
    server, numbers = metered(*options, threads=1)
    with server.client() as busy, server.client() as first, server.client() as second:
        busy.request("GET", f"/hold?file={tmp_path / 'go'}")
        server.wait_for_line("event: holding")
        for number, client in enumerate((first, second), 1):
            begin(client, MIB, MIB)
            wait_until(lambda: numbers()[IN_FILES] == number * MIB)  # noqa: B023
        wait_until(lambda: numbers()["application_queue"] == 2)
        with server.client() as third:
            begin(third, MIB, MIB)
            response = third.response()
            assert (response.status, response.header("Retry-After")) == (503, "1")
        (tmp_path / "go").touch()
        assert busy.response().status == 200
        assert first.response().body == second.response().body == seen(MIB)
    wait_until(lambda: numbers()[IN_FILES] == 0)


def test_the_number_of_files_is_limited_too(metered: Metered) -> None:
    server, numbers = metered("--spool-memory", "1KiB", most_files=256)
    clients = [server.client() for _ in range(40)]
    for client in clients:
        begin(client, 5000, 4000)
    wait_until(lambda: numbers()[REFUSED] >= 8)
    assert numbers()[IN_FILES] <= 32 * 4000
    assert server.descriptors() < 100
    for client in clients:
        client.close()


def test_one_body_may_always_be_as_large_as_max_body(metered: Metered) -> None:
    server, numbers = metered("--max-body", "2MiB", "--body-spool-total", "1MiB")
    with server.client() as client:
        begin(client, 2 * MIB, 2 * MIB)
        assert client.response().body == seen(2 * MIB)
    assert numbers()["body_spool_limit_bytes"] == 2 * MIB


def test_streams_take_no_more_than_there_is(metered: Metered) -> None:
    server, numbers = metered(
        "--body-memory-total", "2MiB", "--max-body", "1MiB", "--body-spool-total", "2MiB"
    )
    come = 3 * FRAME
    with RawClient(server.port) as client, server.client() as other:
        streams = []
        granted = client.until(frames.WindowUpdateFrame, 0).window_increment
        for _ in range(50):
            while granted < come:
                granted += client.until(frames.WindowUpdateFrame, 0).window_increment
            granted -= come
            stream = client.request("/echo", ("content-length", str(come + 1)), body=b"", end=False)
            client.send(*(frames.DataFrame(stream, b"x" * FRAME) for _ in range(3)))
            streams.append(stream)
        # The connection's receive window is a part of it.
        wait_until(lambda: numbers()["body_memory_bytes"] > 2 * MIB - come - 1)
        wait_until(lambda: numbers()[IN_FILES] > 0)
        told = numbers()
        assert told["body_memory_bytes"] <= 2 * MIB
        assert told[IN_FILES] <= 2 * MIB
        begin(other, 50_000, 50_000)
        assert other.response().body == seen(50_000)
        for stream in streams:
            client.send(frames.DataFrame(stream, b"x", flags=["END_STREAM"]))
        assert client.response(streams[-1])[1] == seen(come + 1)
    wait_until(lambda: numbers()["body_memory_bytes"] == numbers()[IN_FILES] == 0)
