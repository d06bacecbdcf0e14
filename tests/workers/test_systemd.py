"""systemd: what a supervisor tells it, by the protocol of sd_notify."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from server.process import wait_until


def test_systemd_is_told_of_the_start_of_reloads_and_of_the_stop(site, serve, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(10)
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        server = serve()

        def news() -> list[str]:
            return systemd.recv(1000).decode().split("\n")

        assert news() == ["READY=1", "STATUS=generation 1 serves"]
        server.signal(signal.SIGHUP)
        assert [line.partition("=")[0] for line in news()] == ["RELOADING", "MONOTONIC_USEC", "STATUS"]
        assert news() == ["READY=1", "STATUS=generation 2 serves"]
        site.write("2", more="raise ValueError('broken')")
        server.signal(signal.SIGHUP)
        assert news()[0] == "RELOADING=1"
        ready, status = news()
        assert ready == "READY=1"
        assert "a reload failed: the application could not be loaded: ValueError: broken" in status
        assert server.stop() == 0
        assert news()[0] == "STOPPING=1"


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """The socket at which systemd is told news, and a watchdog that wants two signs a second."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.settimeout(10)
        there.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        yield there


def signs(systemd: socket.socket, count: int) -> None:
    """Waits for so many signs of life."""
    while count:
        count -= systemd.recv(1000) == b"WATCHDOG=1"


def test_a_watchdog_gets_its_signs_while_a_worker_lives(serve, systemd):
    server = serve()
    signs(systemd, 4)
    assert server.stop() == 0


def test_a_watchdog_gets_no_sign_when_no_worker_answers(serve, systemd):
    server = serve()
    signs(systemd, 2)
    for worker in server.workers():
        os.kill(worker, signal.SIGSTOP)
    systemd.settimeout(1.5)

    def is_silent() -> bool:
        try:
            systemd.recv(1000)
        except TimeoutError:
            return True
        return False

    wait_until(is_silent)
    for worker in server.workers():
        os.kill(worker, signal.SIGCONT)
    systemd.settimeout(10)
    signs(systemd, 2)
    assert server.stop() == 0
