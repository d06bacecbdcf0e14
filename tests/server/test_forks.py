"""Applications that start processes in their requests: the child is not noticed."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from server.process import PATIENCE, wait_until

HERE = Path(__file__).parent.parent / "apps"

ENDED = {
    "returns": b"0",
    "raises": b"1",
    "exits": b"7",
    "leaves": b"8",
    "twice": b"0",
    "generator": b"0",
    "threads": b"0",
    "writes": b"9",
    "logs": b"0",
    "fork": b"said 0",
    "spawn": b"said 0",
    "forkserver": b"said 0",
    "pool": b"55",
    "terminated": b"-15",
    "runs": b"said",
    "prepared": b"said",
    "executes": b"5",
    "spawns": b"6",
    "handlers": b"-15",
}
"""What is answered in the parent."""

MANNERS = {"alone": (), "workers": ("--workers", "1"), "preload": ("--workers", "1", "--preload")}


ELSEWHERE = {"returns", "leaves", "generator", "threads", "writes"}
"""The kinds that have a test of their own."""


@pytest.fixture(params=["plain", "inline"])
def forking(request, serve):
    """A server that calls its application on a thread of its own, or inline."""

    def start(*options, **settings):
        server = serve(*options, target="forking.py:application", cwd=HERE, **settings)
        if request.param == "inline":
            # After a hundred calls it counts as one that does not use `write()`.
            with server.client() as client:
                for _ in range(150):
                    assert client.get("/hello").status == 200
        return server

    return start


def is_gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("kind", ["returns", "raises", "exits", "leaves", "twice", "generator", "threads"])
def test_a_request_that_forks_is_answered_once(forking, kind):
    server = forking()
    with server.client() as client, server.client() as other:
        for _ in range(20):
            assert client.get(f"/{kind}").body == ENDED[kind]
            assert other.get("/hello").body == b"hello"
    assert server.stop() == 0
    assert "panicked" not in server.log


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("kind", sorted(ENDED.keys() - ELSEWHERE))
def test_processes_of_the_application_work(serve, manner, kind):
    server = serve(*MANNERS[manner], target="forking.py:application", cwd=HERE)
    with server.client(timeout=60) as client:
        for _ in range(2):
            assert client.get(f"/{kind}").body == ENDED[kind], server.log
            assert client.get("/hello").body == b"hello"
    assert "panicked" not in server.log


def test_the_end_of_a_child_is_logged(forking):
    server = forking()
    for kind, how in (("returns", "returned from"), ("raises", "raised in"), ("exits", "left")):
        server.get(f"/{kind}")
        status = ENDED[kind].decode()
        server.wait_for_line(rf"forked on GET /{kind}, {how} the call: it ended with status {status}")
    server.wait_for_line("ValueError: raised in the child")
    server.get("/leaves")
    assert "GET /leaves" not in server.log


def test_the_end_of_a_child_is_in_the_file_of_the_error_log(serve, tmp_path):
    log = tmp_path / "error.log"
    server = serve("--error-log", str(log), target="forking.py:application", cwd=HERE)
    server.get("/returns")
    assert re.search(r"warning: process \d+, which the application forked on GET /returns", log.read_text())
    server.get("/logs")
    assert "event: logged in the child\n" in log.read_text()


@pytest.mark.parametrize("manner", MANNERS)
def test_a_child_that_lives_on_keeps_nothing_of_the_server(forking, manner):
    server = forking(*MANNERS[manner])
    with server.client() as idle, server.client() as client:
        pid, sockets = client.get("/lives").body.split(b" ", 1)
        try:
            assert sockets == b"[]\n"
            # The end of a connection reaches its client, though there is a copy of the process.
            client.request("GET", "/hello", "Connection: close")
            assert client.response().body == b"hello"
            assert client.is_ended()
            assert idle.get("/hello").body == b"hello"
            # Its standard error is still open: the child has it.
            server.signal(signal.SIGTERM)
            assert server.popen.wait(PATIENCE) == 0
            with socket.socket() as taken:
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind(("127.0.0.1", server.port))
                taken.listen()
            assert not is_gone(int(pid))
            os.kill(int(pid), signal.SIGTERM)
            wait_until(lambda: is_gone(int(pid)))
        finally:
            if not is_gone(int(pid)):
                os.kill(int(pid), signal.SIGKILL)


def test_what_a_child_writes_is_not_sent(serve):
    server = serve(target="forking.py:application", cwd=HERE)
    with server.client() as client:
        for _ in range(3):
            assert client.get("/writes").body == ENDED["writes"]
