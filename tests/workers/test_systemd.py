"""systemd: what a supervisor tells it, by the protocol of sd_notify."""

from __future__ import annotations

import signal
import socket


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
