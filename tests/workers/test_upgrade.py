"""Upgrade: a new process takes the sockets over from the old one, and no request is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from server.client import Client
from server.process import ONIONSKIN, PATIENCE, Process, wait_until
from workers.conftest import end_successors, is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def run(command: str, control: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`onionskin` asks a server."""
    line = [*ONIONSKIN, command, "--control", str(control), *options]
    return subprocess.run(line, capture_output=True, text=True, timeout=30)


@pytest.fixture
def control(tmp_path) -> Path:
    """A control socket's place."""
    place: Path = tmp_path / "control.sock"
    return place


@pytest.fixture
def serve_on(serve, control) -> Iterator[Callable[..., Any]]:
    """Starts a server whose successors end with the test, too."""
    started: list[Any] = []

    def start(*options: str, **settings: Any) -> Any:
        started.append(serve("--control", str(control), *options, **settings))
        return started[-1]

    yield start
    for server in started:
        end_successors(server)


def successor(server: Any) -> int:
    """The process that has taken over."""
    line = server.wait_for_line(r"upgraded: process \d+ serves, this one drains")
    return int(re.findall(r"process (\d+)", line)[0])


def test_another_process_serves_the_new_application(site, serve_on, control):
    server = serve_on()
    site.write("2")
    done = run("upgrade", control)
    new = successor(server)
    assert (done.returncode, done.stderr) == (0, f"onionskin: process {new} serves, generation 2\n")
    assert server.wait_for_old() == 0
    assert server.answer()[0] == "2"
    status = json.loads(run("status", control, "--json").stdout)
    assert (status["pid"], status["state"], status["generation"]) == (new, "serving", 2)
    os.kill(new, signal.SIGTERM)
    wait_until(lambda: not is_alive(new))
    assert not control.exists()


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_no_request_is_lost(site, serve_on, options):
    server = serve_on(*options)
    ended, failed, asked = threading.Event(), [], [0, 0]

    def ask(number: int) -> None:
        client = None
        while not ended.is_set():
            try:
                client = client or Client(server.places[0], PATIENCE)
                response = client.get("/")
                assert response.status == 200
                asked[number % 2] += 1
                if number % 2 or response.header("Connection") == "close":
                    client.close()
                    client = None
            except Exception as error:
                failed.append(repr(error))
                return
        if client is not None:
            client.close()

    clients = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for client in clients:
        client.start()
    old = server.popen.pid
    for number in range(2, 5):
        site.write(str(number))
        os.kill(old, signal.SIGUSR2)
        server.wait_for_line(r"upgraded: process \d+ serves", count=number - 1, timeout=30)
        new = int(re.findall(r"upgraded: process (\d+) serves", server.log)[-1])
        wait_until(lambda old=old: not is_alive(old))
        old = new
        wait_until(lambda number=number: server.answer()[0] == str(number))
    ended.set()
    for client in clients:
        client.join()
    assert failed == []
    assert min(asked) > 20


def test_a_request_in_flight_is_answered_by_the_old_process(site, serve_on):
    site.write("1", slow=4)
    server = serve_on()
    with server.client() as client:
        client.request("GET", "/slow")
        server.wait_for_line("event: slow")
        site.write("2")
        server.signal(signal.SIGUSR2)
        successor(server)
        assert client.response().body.startswith(b"1 ")
    assert server.wait_for_old() == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"more": "raise ValueError('broken')"}, "could not be loaded: ValueError: broken"),
        ({"more": "import os; os.kill(os.getppid(), 9)"}, "the new process was ended by signal 9"),
        ({"more": "time.sleep(60)"}, "was not ready within 3s"),
    ],
)
def test_an_upgrade_that_fails_changes_nothing(site, serve_on, control, change, told):
    server = serve_on("--boot-timeout", "3s")
    before = server.workers()
    site.write("2", **change)
    done = run("upgrade", control)
    assert done.returncode == 1
    assert told in done.stderr
    server.wait_for_line("upgrade failed, generation 1 goes on: .*" + told)
    wait_until(lambda: server.workers() == before)
    assert server.answer()[0] == "1"
    assert told in json.loads(run("status", control, "--json").stdout)["last_reload"]["failed"]
    site.write("3")
    assert run("upgrade", control).returncode == 0
    assert server.wait_for_old() == 0
    server.wait_for_version("3")


def test_a_wrong_configuration_stops_the_upgrade_with_its_reason(site, serve_on, control):
    server = serve_on()
    (site.folder / "onion.toml").write_text("thread = 4\n")
    done = run("upgrade", control)
    assert done.returncode == 1
    assert "thread" in done.stderr
    assert server.answer()[0] == "1"
    assert server.stop() == 0


def test_what_is_asked_for_meanwhile_is_refused_or_done_after_it(site, serve_on, control):
    server = serve_on()
    site.write("2", more="print('event: boots', file=__import__('sys').stderr, flush=True); time.sleep(60)")
    server.signal(signal.SIGUSR2)
    server.wait_for_line("event: boots")
    assert "another upgrade is under way" in run("upgrade", control).stderr
    assert "an upgrade is under way" in run("reload", control).stderr
    assert json.loads(run("status", control, "--json").stdout)["state"] == "upgrading"
    assert server.stop() == 0
    server.wait_for_line("upgrade failed, generation 1 goes on: the server stops")
    wait_until(lambda: not server.workers() if is_alive(server.popen.pid) else True)


def test_unix_sockets_and_their_files_are_handed_over(site, serve_on, tmp_path):
    path = tmp_path / "site.sock"
    server = serve_on("--bind", f"unix:{path}")
    place = server.places.index(f"unix:{path}")
    inode = path.stat().st_ino
    site.write("2")
    server.signal(signal.SIGUSR2)
    new = successor(server)
    assert server.wait_for_old() == 0
    assert path.stat().st_ino == inode
    assert server.get("/", place).startswith(b"2 ")
    os.kill(new, signal.SIGTERM)
    wait_until(lambda: not path.exists())


def test_a_failed_upgrade_leaves_the_files_alone(site, serve_on, control, tmp_path):
    path = tmp_path / "site.sock"
    server = serve_on("--bind", f"unix:{path}")
    site.write("2", more="raise ValueError('broken')")
    assert run("upgrade", control).returncode == 1
    assert path.exists()
    assert server.get("/", server.places.index(f"unix:{path}")).startswith(b"1 ")


def test_systemd_is_told_of_the_new_process(serve_on, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(10)
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        server = serve_on()
        assert systemd.recv(1000) == b"READY=1\nSTATUS=generation 1 serves"
        server.signal(signal.SIGUSR2)
        new = successor(server)
        assert systemd.recv(1000) == f"MAINPID={new}\nSTATUS=generation 2 serves".encode()
        assert server.wait_for_old() == 0
        os.kill(new, signal.SIGHUP)
        assert systemd.recv(1000).startswith(b"RELOADING=1")
        assert systemd.recv(1000) == b"READY=1\nSTATUS=generation 3 serves"


def test_a_new_place_is_bound_and_one_that_is_gone_is_closed(site, serve_on, tmp_path, control):
    old, new = tmp_path / "old.sock", tmp_path / "new.sock"
    (site.folder / "onion.toml").write_text(f'bind = ["unix:{old}"]\n')
    server = serve_on(bind=())
    (site.folder / "onion.toml").write_text(f'bind = ["unix:{new}"]\n')
    assert run("upgrade", control).returncode == 0
    assert server.wait_for_old() == 0
    assert new.exists()
    assert not old.exists()


def test_a_server_that_a_script_started_is_replaced_too(site, control):
    script = (
        "import onionskin, sys; onionskin.serve('site_of_test:application', bind='127.0.0.1:0', workers=1, "
    )
    script += "control=sys.argv[1])"
    process = Process([sys.executable, "-c", script, str(control)], cwd=site.folder)
    try:
        place = re.findall(r"http://\S+?(?=,)", process.wait_for_line("^onionskin .* on "))[0]
        site.write("2")
        assert run("upgrade", control).returncode == 0
        assert process.popen.wait(PATIENCE) == 0
        with Client(place, PATIENCE) as client:
            assert client.get("/").body.startswith(b"2 ")
        os.kill(successor(process), signal.SIGTERM)
        wait_until(lambda: not control.exists())
    finally:
        process.kill()
