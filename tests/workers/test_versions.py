"""Supervisors and workers of different versions, as they meet when the package is replaced under a server.

The other version is this one behind a package of its name that changes what is told: it adds to it, and
leaves out what this version has a default for.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from onionskin import control
from server.client import Client
from server.process import ONIONSKIN, PATIENCE, Process, wait_until
from workers.conftest import is_alive

if TYPE_CHECKING:
    from pathlib import Path

OTHER_VERSION = """
import json, os, runpy, sys

def say(channel):
    os.write(channel, b'{"kind": "sings", "song": [1, 2]}\\n')

if "_ONIONSKIN_UPGRADE" in os.environ:
    estate = json.loads(os.environ["_ONIONSKIN_UPGRADE"])
    say(estate["channel"])
    estate.update(treasure=["gold"])
    estate.pop("handed"), estate.pop("generation")
    os.environ["_ONIONSKIN_UPGRADE"] = json.dumps(estate)
if "_ONIONSKIN_WORKER" in os.environ:
    inheritance = json.loads(os.environ["_ONIONSKIN_WORKER"])
    say(inheritance["control"])
    inheritance.update(treasure=["gold"])
    os.environ["_ONIONSKIN_WORKER"] = json.dumps(inheritance)
# In one piece: others write there, too.
os.write(2, b"event: another version\\n")

# The real one is behind this folder.
sys.path.remove(os.getcwd())
del sys.modules["onionskin"]
runpy.run_module("onionskin", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def install(site) -> Any:
    """Puts another version where new processes of the server find it."""

    def install() -> None:
        package = site.folder / "onionskin"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(OTHER_VERSION)

    return install


def test_another_version_takes_over(site, serve, install):
    server = serve()
    install()
    site.write("2")
    server.signal(signal.SIGUSR2)
    line = server.wait_for_line(r"upgraded: process \d+ serves, this one drains")
    successor = int(re.findall(r"process (\d+)", line)[0])
    try:
        server.wait_for_line("event: another version", count=3)
        assert server.wait_for_old() == 0
        assert server.answer()[0] == "2"
    finally:
        os.kill(successor, signal.SIGTERM)
        wait_until(lambda: not is_alive(successor))


def test_another_versions_workers_serve_after_a_reload(site, serve, install):
    server = serve()
    install()
    site.write("2")
    server.signal(signal.SIGHUP)
    server.wait_for_line("reloaded in")
    server.wait_for_version("2")
    server.wait_for_line("event: another version", count=2)


def test_another_versions_worker_replaces_one_that_has_died(serve, install):
    server = serve(workers=1)
    (died,) = server.workers()
    install()
    os.kill(died, signal.SIGKILL)
    server.wait_for_line("event: another version")
    assert server.answer()[1] != died


@pytest.fixture
def worker(site) -> Any:
    """Starts a worker whose supervisor is the test."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    listener = socket.create_server(("127.0.0.1", 0))
    place = f"127.0.0.1:{listener.getsockname()[1]}"
    inheritance = {
        "control": theirs.fileno(),
        "listeners": [[listener.fileno(), place]],
        "treasure": ["gold"],
    }
    told = f"_ONIONSKIN_WORKER={json.dumps(inheritance)}"
    command = ["env", told, *ONIONSKIN, "serve", "site_of_test.py", "--workers", "1"]
    process = Process(command, site.folder, pass_fds=(theirs.fileno(), listener.fileno()))
    theirs.close()
    with ours, listener:
        yield process, ours, f"http://{place}"
        process.kill()


def test_a_worker_serves_under_a_supervisor_of_another_version(worker):
    process, channel, place = worker
    messages = channel.makefile("r")
    assert json.loads(messages.readline())["kind"] == "ready"
    for message in [{"kind": "sing", "song": [1]}, {"kind": "serve", "gently": True}, {"kind": "dance"}]:
        channel.sendall(json.dumps(message).encode() + b"\n")
    with Client(place, PATIENCE) as client:
        assert client.get("/").status == 200
    channel.sendall(b'{"kind": "drain", "slowly": true}\n')
    assert process.wait() == 0


def test_a_worker_ends_when_its_supervisor_talks_nonsense(worker):
    process, channel, _ = worker
    assert json.loads(channel.makefile("r").readline())["kind"] == "ready"
    channel.sendall(b"\x16\x03\x01\n")
    assert process.wait() == 0


@pytest.mark.parametrize("told", [{}, {"workers": [{"pid": 7}], "last_reload": {"at": 0}, "mood": "good"}])
def test_a_status_of_another_version_is_shown_as_far_as_it_goes(tmp_path: Path, told: dict[str, Any]):
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(json.dumps(told).encode() + b"\n")

        answering = threading.Thread(target=answer)
        answering.start()
        status = control.ask(str(path), "status")
        answering.join()
    shown = control.described(status)
    assert shown.startswith("onionskin -, pid -: -")
    assert len(shown.splitlines()) == 4 + len(told.get("workers", ()))
