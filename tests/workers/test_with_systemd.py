"""A real systemd runs the units of the page: start, reload, upgrade, sockets, watchdog, stop."""

from __future__ import annotations

import re
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.client import Client
from server.process import PATIENCE, wait_until
from support.systemd import Systemd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "systemd.md"
UNITS = dict(
    re.findall(r"```ini\n# /etc/systemd/system/mysite\.(\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
)
NOT_FOR_USERS = ("User=", "Group=", "WantedBy=", "[Install]", "After=")
"""What only the system's manager knows."""


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    """A manager without units."""
    with Systemd(tmp_path) as manager:
        yield manager


@pytest.fixture
def install(systemd, site) -> Callable[..., None]:
    """Puts the page's service there, with another command."""

    def install(*options: str, **changed: str) -> None:
        command = [sys.executable, "-m", "onionskin", "serve", "site_of_test.py"]
        changed |= {"ExecStart": " ".join([*command, *options]), "WorkingDirectory": str(site.folder)}
        if systemd.version < 253:
            # As the page says.
            changed |= {"Type": "notify\nExecReload=/bin/kill -HUP $MAINPID"}
        kept = [line for line in UNITS["service"].splitlines() if not line.startswith(NOT_FOR_USERS)]
        assert {line.partition("=")[0] for line in kept} >= changed.keys()
        lines = [
            f"{name}={changed[name]}" if (name := line.partition("=")[0]) in changed else line
            for line in kept
        ]
        (systemd.units / "mysite.service").write_text("\n".join(lines))
        systemd.does("daemon-reload")

    return install


def answer(path: Path) -> str:
    """The version that answers at a Unix socket."""
    with Client(f"unix:{path}", PATIENCE) as client:
        return client.get("/").body.decode().split()[0]


def test_a_service_is_started_reloaded_upgraded_and_stopped(systemd, install, site):
    place = systemd.runtime / "mysite" / "http.sock"
    control = systemd.runtime / "control.sock"
    install("--workers", "2", "--bind", f"unix:{place}", "--control", str(control))
    systemd.does("start", "mysite.service")
    # It has waited for the server to be ready.
    assert answer(place) == "1"
    started = systemd.state("mysite.service")
    assert started["StatusText"] == "generation 1 serves"

    site.write("2")
    systemd.does("reload", "mysite.service")
    wait_until(lambda: systemd.state("mysite.service")["StatusText"] == "generation 2 serves")
    wait_until(lambda: answer(place) == "2")
    site.write("3", more="raise ValueError('broken')")
    systemd.does("reload", "mysite.service")
    failed = "a reload failed: the application could not be loaded: ValueError: broken"
    wait_until(lambda: systemd.state("mysite.service")["StatusText"] == failed)
    assert answer(place) == "2"

    site.write("4")
    upgrade = ["-m", "onionskin", "upgrade", "--control", str(control)]
    assert systemd.inside(sys.executable, *upgrade).returncode == 0
    wait_until(lambda: systemd.state("mysite.service")["MainPID"] != started["MainPID"])
    wait_until(lambda: answer(place) == "4")
    site.write("5")
    systemd.does("reload", "mysite.service")
    wait_until(lambda: answer(place) == "5")

    systemd.does("stop", "mysite.service")
    ended = systemd.state("mysite.service")
    assert (ended["ActiveState"], ended["NRestarts"], place.exists()) == ("inactive", "0", False)


def test_a_service_without_workers_is_started_reloaded_and_stopped(systemd, install, tmp_path):
    place, log = systemd.runtime / "mysite" / "http.sock", tmp_path / "access.log"
    install("--bind", f"unix:{place}", "--access-log", str(log))
    systemd.does("start", "mysite.service")
    assert answer(place) == "1"
    assert systemd.state("mysite.service")["StatusText"] == f"serves unix:{place}"

    log.rename(tmp_path / "access.log.1")
    systemd.does("reload", "mysite.service")
    assert systemd.state("mysite.service")["ActiveState"] == "active"
    assert answer(place) == "1"

    systemd.does("stop", "mysite.service")
    ended = systemd.state("mysite.service")
    assert (ended["ActiveState"], ended["NRestarts"], place.exists()) == ("inactive", "0", False)
    assert "GET / " in log.read_text()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_client_of_a_sleeping_service_waits_until_it_serves(systemd, install, workers):
    place = systemd.runtime / "web.sock"
    names = ("ListenStream", "BindIPv6Only", "[Install]", "WantedBy")
    lines = [line for line in UNITS["socket"].splitlines() if not line.startswith(names)]
    lines.insert(lines.index("[Socket]") + 1, f"ListenStream={place}")
    (systemd.units / "mysite.socket").write_text("\n".join(lines))
    install("--workers", workers)
    systemd.does("start", "mysite.socket")
    assert systemd.state("mysite.service")["ActiveState"] == "inactive"
    assert answer(place) == "1"
    first = systemd.state("mysite.service")["MainPID"]
    systemd.does("restart", "mysite.service")
    assert answer(place) == "1"
    assert systemd.state("mysite.service")["MainPID"] != first


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_service_that_hangs_is_started_anew(systemd, install, workers):
    place = systemd.runtime / "mysite" / "http.sock"
    install("--workers", workers, "--bind", f"unix:{place}", WatchdogSec="1")
    systemd.does("start", "mysite.service")
    systemd.does("kill", "--kill-whom=main", "-s", "STOP", "mysite.service")

    wait_until(lambda: systemd.state("mysite.service")["NRestarts"] != "0")
    wait_until(lambda: systemd.state("mysite.service")["ActiveState"] == "active")
    assert answer(place) == "1"


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_service_that_lives_is_left_alone(systemd, install, workers):
    place = systemd.runtime / "mysite" / "http.sock"
    install("--workers", workers, "--bind", f"unix:{place}", WatchdogSec="2")
    systemd.does("start", "mysite.service")
    since = systemd.state("mysite.service")
    with socket.socket(socket.AF_UNIX) as idle:
        idle.connect(str(place))
        idle.settimeout(3)
        with suppress(TimeoutError):
            # Longer than it would be left without a sign.
            idle.recv(1)
    assert systemd.state("mysite.service") == since
