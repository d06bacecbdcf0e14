"""Slow applications and slow clients: who waits for whom, and on which thread."""

from __future__ import annotations

import re
import time

import pytest

from server.process import wait_until

GUARD = ("--layer", "allow_addresses:allowed_addresses=10.0.0.1,match.path=/forbidden")
AT_ONCE = 0.5
"""Seconds: far below the time that the slow calls last, far above what a busy machine costs."""


@pytest.mark.smoke
def test_a_layer_answers_at_once_while_the_only_thread_is_taken(serve, tmp_path):
    server = serve(*GUARD, threads=1)
    with server.client() as old, server.client() as busy:
        assert old.get("/hello").status == 200
        busy.request("GET", f"/hold?file={tmp_path / 'go'}&name=busy")
        server.wait_for_line("event: holding busy")
        for _ in range(5):
            assert duration(lambda: old.get("/forbidden"), 403) < AT_ONCE
            with server.client() as new:
                assert duration(lambda new=new: new.get("/forbidden"), 403) < AT_ONCE
        (tmp_path / "go").touch()
        assert busy.response().body == b"held"


def test_a_layer_answers_at_once_while_many_calls_wait_for_the_only_thread(serve, tmp_path):
    server = serve(*GUARD, threads=1)
    old = server.client()
    assert old.get("/hello").status == 200
    queued = [server.client() for _ in range(64)]
    for number, client in enumerate(queued):
        client.request("GET", f"/hold?file={tmp_path / 'go'}&name={number}")
    server.wait_for_line("event: holding")
    for _ in range(5):
        assert duration(lambda: old.get("/forbidden"), 403) < AT_ONCE
        with server.client() as new:
            assert duration(lambda new=new: new.get("/forbidden"), 403) < AT_ONCE
    assert sum("event: holding" in line for line in server.lines) == 1
    (tmp_path / "go").touch()
    assert [client.response().body for client in queued] == [b"held"] * 64
    for client in [old, *queued]:
        client.close()


def duration(call, status: int) -> float:
    """How long a request takes, in seconds; it must be answered with `status`."""
    since = time.perf_counter()
    assert call().status == status
    return time.perf_counter() - since


@pytest.mark.smoke
def test_as_many_calls_as_threads_run_at_once(serve, tmp_path):
    server = serve(threads=4)
    clients = [server.client() for _ in range(5)]
    for number, client in enumerate(clients):
        client.request("GET", f"/hold?file={tmp_path / 'go'}&name={number}")
    server.wait_for_line("event: holding", count=4)
    time.sleep(0.1)  # a fifth call, if there were one, would have begun
    assert sum("event: holding" in line for line in server.lines) == 4
    (tmp_path / "go").touch()
    assert [client.response().body for client in clients] == [b"held"] * 5
    for client in clients:
        client.close()


def test_sleeping_calls_sleep_side_by_side(serve):
    server = serve(threads=4)
    server.get("/hello")
    clients = [server.client() for _ in range(4)]
    since = time.perf_counter()
    for client in clients:
        client.request("GET", "/sleep?seconds=0.5")
    assert [client.response().body for client in clients] == [b"slept"] * 4
    assert time.perf_counter() - since < 1.0
    for client in clients:
        client.close()


def test_a_slow_reader_of_a_stream_does_not_stop_others(serve):
    server = serve(threads=2)
    with server.client() as slow:
        slow.request("GET", "/large?blocks=512&name=slow")  # 32 MiB: more than any socket buffer
        slow.head()
        for _ in range(5):
            assert duration(lambda: quick(server), 200) < AT_ONCE
        assert sum(map(len, iter(slow.chunk, b""))) == 512 * 65536


def quick(server):
    with server.client() as client:
        return client.get("/hello")


def test_slow_readers_on_all_threads_leave_layers_answering(serve):
    server = serve(*GUARD, threads=2)
    slow = [server.client() for _ in range(2)]
    for client in slow:
        client.request("GET", "/endless")
        client.head()
    with server.client() as client:
        assert duration(lambda: client.get("/forbidden"), 403) < AT_ONCE
    for client in slow:
        client.close()
    assert server.get("/hello") == b"hello"


def test_a_slow_reader_holds_back_the_application(serve):
    server = serve("--response-spool", "1MiB", threads=2)
    with server.client() as slow:
        slow.request("GET", "/large?blocks=2000&name=ahead")
        slow.head()
        produced = settled(lambda: sum("event: block ahead" in line for line in server.lines))
        assert produced < 500  # of 125 MiB no more than socket buffers and the spool hold was produced


def settled(count) -> int:
    """A number, when it does not change any more."""
    seen = [-1]

    def same() -> bool:
        time.sleep(0.2)
        seen.append(count())
        return seen[-1] == seen[-2]

    wait_until(same)
    return seen[-1]


@pytest.mark.parametrize("blocks", [3, 200])
def test_an_iterable_stays_on_the_thread_of_its_call(serve, blocks):
    server = serve(threads=4)
    names = [f"reader{number}" for number in range(6)]
    clients = [server.client() for _ in names]
    for name, client in zip(names, clients, strict=True):
        client.request("GET", f"/large?blocks={blocks}&name={name}")
    for client in clients:
        client.head()
        while client.chunk():
            if blocks > 3:
                time.sleep(0.0005)  # the server has to wait for this reader
        client.close()
    for name in names:
        server.wait_for_line(f"event: closed {name} ")
        threads = {
            found.group(1)
            for line in server.lines
            if (found := re.search(rf"event: \w+ {name} on (\d+)", line))
        }
        assert len(threads) == 1, f"{name} moved"


def test_pipelined_requests_do_not_starve_others(serve):
    server = serve(threads=1)
    with server.client() as greedy:
        greedy.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" * 2000)
        assert duration(lambda: quick(server), 200) < AT_ONCE
        assert all(greedy.response().body == b"hello" for _ in range(2000))


@pytest.mark.parametrize("attempt", range(3))
def test_pipelined_answers_of_a_layer_do_not_wait_for_a_sleeping_call(serve, tmp_path, attempt):
    """A connection between two of its requests must not hang on the thread that a call has taken."""
    server = serve(*GUARD, threads=1)
    with server.client() as pipelining, server.client() as busy:
        assert busy.get("/hello").status == 200
        pipelining.send(b"GET /forbidden HTTP/1.1\r\nHost: a\r\n\r\n" * 2000)
        busy.request("GET", f"/hold?file={tmp_path / 'go'}")
        pipelining.socket.settimeout(2)
        assert all(pipelining.response().status == 403 for _ in range(2000))
        (tmp_path / "go").touch()
        assert busy.response().body == b"held"


def test_threads_that_are_free_use_no_cpu(serve):
    server = serve(threads=64)
    server.get("/hello")
    before = server.cpu_time()
    time.sleep(0.5)
    assert server.cpu_time() - before <= 0.05
