"""Socket activation: a server that is started with its sockets, by systemd or as systemd does it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from server.client import Client
from server.process import ONIONSKIN, Process, wait_until
from support.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

START = """
import json, os, sys
environment, command = json.loads(sys.argv[1])
# The process stays the same, and so does its id.
os.environ.update({name: value.replace("PID", str(os.getpid())) for name, value in environment.items()})
os.execv(command[0], command)
"""


@contextmanager
def started(site, *options: str, names: str = "", sockets: int = 1, pid: str = "PID") -> Iterator[Any]:
    """A server that gets sockets as the descriptors from 3 on, and their places."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(sockets)]
    environment = {"LISTEN_PID": pid, "LISTEN_FDS": str(sockets), "LISTEN_FDNAMES": names}
    command = [*ONIONSKIN, "serve", "site_of_test.py", *options]
    high = [os.dup2(listener.fileno(), 100 + at) for at, listener in enumerate(listeners)]
    # In a process of its own: there, the numbers from 3 on are free.
    moving = "import os, sys\n"
    moving += "".join(f"os.dup2({number}, {3 + at})\n" for at, number in enumerate(high))
    told = json.dumps([environment, command])
    process = Process([sys.executable, "-c", moving + START, told], cwd=site.folder, pass_fds=high)
    for number in high:
        os.close(number)
    places = [f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    for listener in listeners:
        listener.close()
    try:
        yield process, places
    finally:
        process.kill()


def version(place: str) -> str:
    """The version that answers there."""
    with Client(place, 10) as client:
        return client.get("/").body.decode().split()[0]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_it_listens_on_what_it_was_started_with(site, workers):
    with started(site, "--workers", workers, sockets=2) as (process, places):
        line = process.wait_for_line("^onionskin .* on ")
        assert all(place in line for place in places)
        assert [version(place) for place in places] == ["1", "1"]
        process.signal()
        assert process.wait() == 0


def test_requests_that_come_before_it_is_there_wait(site):
    with started(site) as (_, (place,)):
        assert version(place) == "1"


@pytest.mark.parametrize("place", ["fd://4", "systemd:web"])
def test_one_of_several_is_chosen_by_number_or_name(site, place):
    with started(site, "--bind", place, "--bind", "127.0.0.1:0", names="other:web", sockets=2) as found:
        process, places = found
        line = process.wait_for_line("^onionskin .* on ")
        assert places[1] in line
        assert places[0] not in line
        assert version(places[1]) == "1"


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_socket_that_is_called_https_speaks_tls(site, tmp_path, workers):
    authority = Authority(tmp_path)
    options = authority.pair("localhost").options
    with started(site, "--workers", workers, *options, names="https:other", sockets=2) as (process, places):
        line = process.wait_for_line("^onionskin .* on ")
        assert places[0].replace("http:", "https:") in line
        port = int(places[0].rpartition(":")[2])

        def answers() -> bool:
            with (
                socket.create_connection(("127.0.0.1", port), 10) as plain,
                authority.context().wrap_socket(plain, server_hostname="localhost") as client,
            ):
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return client.recv(1000).startswith(b"HTTP/1.1 200 ")

        assert answers()
        assert version(places[1]) == "1"
        if workers != "0":
            process.signal(signal.SIGHUP)
            process.wait_for_line("generation 2 serves")
            assert answers()
        process.signal()
        assert process.wait() == 0


@pytest.mark.parametrize("workers", ["0", "1"])
def test_tls_without_a_socket_for_it_is_refused(site, tmp_path, workers):
    options = Authority(tmp_path).pair("localhost").options
    with started(site, "--workers", workers, *options, names="other") as (process, _):
        assert process.wait() == 2
        assert "tls_certificate" in process.log


def test_a_reload_keeps_them(site):
    with started(site, "--workers", "1") as (process, (place,)):
        process.wait_for_line("^onionskin .* on ")
        site.write("2")
        process.signal(signal.SIGHUP)
        process.wait_for_line("generation 2 serves")
        wait_until(lambda: version(place) == "2")


def test_without_workers_programs_of_the_application_do_not_get_them(site):
    told = "import sys\nfound = sorted(name for name in os.environ if name.startswith('LISTEN_'))\n"
    told += "print('event:', found, file=sys.stderr)"
    site.write("1", more=told)
    with started(site) as (process, _):
        assert process.wait_for_line("event:") == "event: []"


def test_what_was_meant_for_another_process_is_not_taken(site):
    with started(site, "--bind", "systemd:web", names="web", pid="1") as (process, _):
        assert process.wait() == 2
        assert process.lines == [
            "onionskin: cannot listen on systemd:web: no socket was handed over; start it by a .socket unit "
            "of systemd, or choose another --bind"
        ]


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("fd://9", "no such socket was handed over at the start; there is fd://3 (systemd:web)"),
        ("systemd:wep", "there is fd://3 (systemd:web)"),
        ("fd://2", "is no place to listen on"),
    ],
)
@pytest.mark.parametrize("workers", ["0", "1"])
def test_what_was_not_handed_over_is_told_in_one_line(site, place, told, workers):
    with started(site, "--bind", place, "--workers", workers, names="web") as (process, _):
        assert process.wait() == 2
        assert told in process.lines[0]
        assert len(process.lines) == 1


@pytest.mark.skipif(shutil.which("systemd-socket-activate") is None, reason="systemd's own tool is not there")
def test_systemds_own_tool_starts_it(site, tmp_path):
    path = tmp_path / "site.sock"
    activate = ["systemd-socket-activate", "-l", str(path), "--fdname=web"]
    process = Process([*activate, *ONIONSKIN, "serve", "site_of_test.py"], cwd=site.folder)
    try:
        process.wait_for_line("Listening on")
        assert version(f"unix:{path}") == "1"
        process.signal()
        assert process.wait() == 0
        # It is systemd's, and so is its file.
        assert path.exists()
    finally:
        process.kill()
