"""systemd: what a server without workers tells it, by the protocol of sd_notify."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys

import pytest

from server.process import HERE

APPLICATION = """
import os, subprocess, sys

def told():
    return {name for name in os.environ if name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")}

at_import = told()

def application(environ, start_response):
    body = repr(sorted(at_import | told())).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


class Systemd:
    """The socket at which news are told."""

    def __init__(self, path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(10)
        self.socket.bind(str(path))

    def news(self) -> list[str]:
        """What is told next, but for signs of life."""
        while (told := self.socket.recv(1000)) == b"WATCHDOG=1":
            pass
        return told.decode().split("\n")

    def signs(self, count: int) -> None:
        """Waits for so many signs of life."""
        while count:
            count -= self.socket.recv(1000) == b"WATCHDOG=1"


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    there = Systemd(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with there.socket:
        yield there


def test_it_is_told_when_the_server_serves_and_when_it_stops(serve, systemd):
    server = serve()
    assert systemd.news() == ["READY=1", f"STATUS=serves 127.0.0.1:{server.port}"]
    assert server.stop() == 0
    assert systemd.news()[0] == "STOPPING=1"


def test_a_reload_is_over_when_the_logs_are_open_anew(serve, systemd, tmp_path):
    """As `Type=notify-reload` has it: systemctl waits for both."""
    log, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    server = serve("--access-log", str(log))
    assert systemd.news()[0] == "READY=1"
    log.rename(moved)
    server.signal(signal.SIGHUP)
    assert [line.partition("=")[0] for line in systemd.news()] == ["RELOADING", "MONOTONIC_USEC", "STATUS"]
    assert systemd.news()[0] == "READY=1"
    server.get("/hello")
    assert server.stop() == 0
    assert "GET /hello" in log.read_text()


def test_a_watchdog_gets_its_signs_while_every_thread_of_the_application_is_busy(
    serve, systemd, monkeypatch, tmp_path
):
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    server = serve(threads=1)
    with server.client() as client:
        client.request("GET", f"/hold?file={tmp_path / 'go'}")
        server.wait_for_line("holding")
        systemd.signs(6)
        (tmp_path / "go").touch()
        assert client.response().body == b"held"
    assert server.stop() == 0


def test_a_watchdog_of_another_process_gets_none(serve, systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    server = serve()
    assert systemd.news()[0] == "READY=1"
    server.signal(signal.SIGTERM)
    # Straight from the socket: no sign of life between them.
    assert systemd.socket.recv(1000).startswith(b"STOPPING=1")
    assert server.wait() == 0


def test_neither_the_application_nor_its_programs_are_told_of_it(serve, systemd, monkeypatch, tmp_path):
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    (tmp_path / "site_of_test.py").write_text(APPLICATION)
    server = serve(target="site_of_test.py", cwd=tmp_path)
    assert server.get("/") == b"[]"


def test_a_server_in_another_thread_leaves_systemd_to_its_program(systemd, tmp_path):
    script = """
import os, threading, onionskin
from onionskin.simple_server import demo_app
serving = dict(bind=["127.0.0.1:0"], config=False)
threading.Thread(target=onionskin.serve, args=(demo_app,), kwargs=serving, daemon=True).start()
input()
print("NOTIFY_SOCKET" in os.environ)
"""
    command = [sys.executable, "-c", script]
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=HERE, text=True, **piped) as program:
        while "(wsgiref.simple_server.demo_app)" not in program.stderr.readline():
            pass
        program.stdin.write("\n")
        program.stdin.flush()
        assert program.stdout.readline() == "True\n"
        program.kill()
    systemd.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.socket.recv(1000)
