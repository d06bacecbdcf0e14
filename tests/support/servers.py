"""Servers in processes of their own: started on a free port, waited for, stopped by their id.

    with started("gunicorn", "doors.served:plain", log) as server:
        server.ask("/hello")

Nothing here waits without a limit.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.client import Reply, ask

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
TESTS = Path(__file__).parent.parent
START_SECONDS = 20.0
STOP_SECONDS = 10.0
STEP_SECONDS = 0.01
TRIES = 3


@dataclass
class Served:
    """A running server with one application."""

    kind: str
    target: str
    process: subprocess.Popen[bytes]
    port: int
    log_path: Path

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return (HOST, self.port)

    def ask(self, target: str = "/", method: str = "GET", **given: Any) -> Reply:
        """One request on a connection of its own."""
        return ask(self.address, target, method, **given)

    def log(self) -> str:
        """All that it wrote to stdout and stderr so far."""
        return self.log_path.read_text(errors="replace")

    def stop(self) -> None:
        """Ends the process: by request, and if that does not help by force."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS)


def native(target: str, port: int) -> list[str]:
    return python("onionskin", "serve", target, "--bind", f"{HOST}:{port}", "--threads", "4")


def wsgiref(target: str, port: int) -> list[str]:
    return python("support.run_wsgiref", target, str(port))


def gunicorn(target: str, port: int) -> list[str]:
    return python(
        "gunicorn", "--bind", f"{HOST}:{port}", "--worker-class", "sync", "--no-control-socket", target
    )


def gthread(target: str, port: int) -> list[str]:
    options = ["--worker-class", "gthread", "--threads", "4", "--no-control-socket"]
    return python("gunicorn", "--bind", f"{HOST}:{port}", *options, target)


def uwsgi(target: str, port: int) -> list[str]:
    place = ["--http-socket", f"{HOST}:{port}", "--virtualenv", sys.prefix, "--module", target]
    options = ["--threads", "4", "--enable-threads", "--need-app", "--die-on-term", "--disable-logging"]
    return [str(uwsgi_path()), *place, *options]


def waitress(target: str, port: int) -> list[str]:
    return python("waitress", "--listen", f"{HOST}:{port}", "--threads", "4", target)


def python(module: str, *arguments: str) -> list[str]:
    """A module's command line in this very interpreter."""
    return [sys.executable, "-m", module, *arguments]


def uwsgi_path() -> Path:
    """Where the environment that runs the tests has uWSGI."""
    return Path(sys.executable).parent / "uwsgi"


COMMANDS: dict[str, Callable[[str, int], list[str]]] = {
    "native": native,
    "wsgiref": wsgiref,
    "gunicorn": gunicorn,
    "gthread": gthread,
    "uwsgi": uwsgi,
    "waitress": waitress,
}
KINDS = list(COMMANDS)
OUTWARD_KINDS = [kind for kind in KINDS if kind != "native"]


class Servers:
    """Starts a server for each kind and application once, and ends all of them together."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.running: dict[tuple[object, ...], Served] = {}

    def get(self, kind: str, target: str, **environment: str) -> Served:
        """The server of this kind with this application (``package.module:name``) and this environment."""
        if kind == "uwsgi" and not uwsgi_path().exists():
            pytest.skip("uWSGI is not installed in this environment")
        key = (kind, target, *sorted(environment.items()))
        server = self.running.get(key)
        if server is None or server.process.poll() is not None:
            log = self.logs / f"{kind}-{target.replace(':', '-')}-{len(self.running)}.log"
            server = self.running[key] = start(kind, target, log, environment)
        return server

    def stop(self) -> None:
        """Ends all that were started."""
        for server in self.running.values():
            if server.process.poll() is None:
                server.process.terminate()
        for server in self.running.values():
            server.stop()


CALLS_FOR_PROOF = 110
"""After so many calls without write() our server calls an application inline."""


def proved(native: Served) -> Served:
    """Our server, when it calls the scripted application inline."""
    for _ in range(CALLS_FOR_PROOF):
        native.ask("/hello")
    return native


def having_written(native: Served) -> Served:
    """Our server, when it calls the scripted application on threads of their own, for good."""
    native.ask("/write_only")
    return native


def start(kind: str, target: str, log: Path, environment: dict[str, str] | None = None) -> Served:
    """Starts a server and waits until it takes connections."""
    for _ in range(TRIES):
        port = free_port()
        paths = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
        variables = {**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", **(environment or {})}
        with log.open("ab") as output:
            process = subprocess.Popen(
                COMMANDS[kind](target, port),
                cwd=log.parent,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        server = Served(kind, target, process, port, log)
        if listens(server):
            return server
        server.stop()
    raise RuntimeError(f"{kind} did not serve {target}:\n{log.read_text(errors='replace')}")


def listens(server: Served) -> bool:
    """Whether the server takes a connection before it ends or the time is up."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(server.address, timeout=1).close()
            return True
        except OSError:
            pass
        try:
            server.process.wait(STEP_SECONDS)
            return False
        except subprocess.TimeoutExpired:
            continue
    return False


def free_port() -> int:
    """A port that nobody listens on now. If it is taken before the server binds it, there is a next try."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
