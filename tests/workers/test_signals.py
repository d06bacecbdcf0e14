"""Signals at unusual times: before anybody listens to them, and when the terminal is gone."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from server.client import Client
from server.process import ONIONSKIN, PATIENCE, Process, Server, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAITING = """
import pathlib, sys
print("event: boots", file=sys.stderr, flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.01)
"""


@contextmanager
def booting(site, *options: str) -> Iterator[Process]:
    """A server whose application is being imported until there is a file `go`."""
    site.write("1", more=WAITING)
    command = [*ONIONSKIN, "serve", "site_of_test.py", "--bind", "127.0.0.1:0", *options]
    process = Process(command, cwd=site.folder)
    try:
        process.wait_for_line("event: boots")
        yield process
    finally:
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_signal_that_comes_early_ends_nothing(site, workers, number):
    with booting(site, "--workers", workers) as process:
        process.signal(number)
        (site.folder / "go").touch()
        line = process.wait_for_line("^onionskin .* on http")
        answered(re.findall(r"http://\S+?(?=,)", line)[0])
        process.signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_reload_that_is_asked_for_during_the_start_is_done_after_it(site):
    with booting(site, "--workers", "1") as process:
        process.signal(signal.SIGHUP)
        (site.folder / "go").touch()
        process.wait_for_line("reloaded in .*: generation 2 serves")


def test_without_workers_a_reload_opens_the_log_anew_and_says_what_it_does_not(site, tmp_path):
    log = tmp_path / "access.log"
    with Server("--access-log", str(log), target="site_of_test.py", cwd=site.folder) as server:
        server.get("/")
        wait_until(lambda: log.exists() and bool(log.read_text()))
        log.rename(tmp_path / "old.log")
        server.signal(signal.SIGHUP)
        server.wait_for_line("no reload of the application: it needs --workers 1 or more")
        wait_until(log.exists)
        server.signal(signal.SIGUSR2)
        server.wait_for_line("no upgrade: it needs --workers 1 or more")
        server.get("/")
        assert server.stop() == 0


def answered(place: str) -> None:
    """Waits until a server answers: from then on it listens to signals."""
    with Client(place, PATIENCE) as client:
        assert client.get("/").status == 200


def is_listened_on(file: Path) -> bool:
    """Whether there is a server: its socket has a file before it listens."""
    with socket.socket(socket.AF_UNIX) as visitor:
        return visitor.connect_ex(str(file)) == 0


def in_terminal(site, terminal: int, *options: str) -> subprocess.Popen[Any]:
    """A server whose standard input is a terminal."""
    command = [*ONIONSKIN, "serve", "site_of_test.py", "--bind", f"unix:{site.folder}/site.sock", *options]
    return subprocess.Popen(command, cwd=site.folder, stdin=terminal, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("workers", ["0", "1"])
def test_it_ends_with_its_terminal(site, workers):
    ours, theirs = pty.openpty()
    with in_terminal(site, theirs, "--workers", workers) as server:
        try:
            os.close(theirs)
            wait_until(lambda: is_listened_on(site.folder / "site.sock"))
            answered(f"unix:{site.folder}/site.sock")
            # The kernel sends the signal to who has the terminal as its own; here, it is sent by hand.
            os.close(ours)
            server.send_signal(signal.SIGHUP)
            assert server.wait(PATIENCE) == 0
        finally:
            server.kill()


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_signal_that_somebody_sends_ends_no_server_in_a_terminal(site, workers):
    ours, theirs = pty.openpty()
    with in_terminal(site, theirs, "--workers", workers) as server:
        try:
            wait_until(lambda: is_listened_on(site.folder / "site.sock"))
            answered(f"unix:{site.folder}/site.sock")
            server.send_signal(signal.SIGHUP)
            server.send_signal(signal.SIGUSR1)
            with pytest.raises(subprocess.TimeoutExpired):
                server.wait(0.5)
            server.terminate()
            assert server.wait(PATIENCE) == 0
        finally:
            server.kill()
            os.close(ours)
            os.close(theirs)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_whoever_has_read_what_is_served_may_stop_it_at_once(serve, number):
    for _ in range(5):
        server = serve(workers=1)
        server.signal(number)
        assert server.wait() == 0
        assert "Traceback" not in server.log
