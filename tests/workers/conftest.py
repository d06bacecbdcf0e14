"""Servers with workers, of an application that a test can change."""

from __future__ import annotations

import os
import re
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from server.client import Client, Ended
from server.process import PATIENCE, Server, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

APPLICATION = """
import os, time

VERSION = {version!r}

def application(environ, start_response):
    path = environ["PATH_INFO"]
    status = "200 OK"
    if path == "/ready":
        status = {ready!r}
    if path == "/slow":
        environ["wsgi.errors"].write("event: slow\\n")
        environ["wsgi.errors"].flush()
        time.sleep({slow})
    body = f"{{VERSION}} {{os.getpid()}} {{environ['wsgi.multiprocess']}}".encode()
    start_response(status, [("Content-Length", str(len(body)))])
    return [body]
"""


class Site:
    """A folder with an application in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write("1")

    def write(self, version: str, *, ready: str = "200 OK", slow: float = 1, more: str = "") -> None:
        """Puts a version of the application there."""
        text = APPLICATION.format(version=version, ready=ready, slow=slow) + more
        # At once: a worker may be reading it.
        new = self.folder / "new"
        new.write_text(text)
        new.replace(self.folder / "site_of_test.py")


class Supervised(Server):
    """`onionskin serve --workers`."""

    def __init__(self, site: Site, *options: str, workers: int = 2, **more: Any) -> None:
        settings: dict[str, Any] = {"target": "site_of_test.py", "cwd": site.folder, **more}
        super().__init__("--workers", str(workers), *options, **settings)

    def workers(self) -> set[int]:
        """The process ids of its children."""
        pid = self.popen.pid
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def answer(self) -> tuple[str, int]:
        """The version that answers, and the worker that it answers in."""
        version, pid, _ = self.get("/").decode().split()
        return version, int(pid)

    def wait_for_version(self, version: str) -> None:
        """Waits until it answers, and workers of another version take no more connections."""
        self.wait_until_workers(lambda: all(self.answer()[0] == version for _ in range(8)))

    def wait_for_old(self) -> int:
        """The exit code of the process that was started; a successor may go on."""
        return self.popen.wait(PATIENCE)

    def wait_until_workers(self, holds: Callable[[], bool]) -> None:
        """Waits for what cannot tell that it has happened."""
        wait_until(holds)


def is_alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def halt(pid: int) -> None:
    """Stops a process, and returns when none of its threads runs any more."""
    os.kill(pid, signal.SIGSTOP)
    threads = [thread / "stat" for thread in Path(f"/proc/{pid}/task").iterdir()]
    wait_until(lambda: all(thread.read_text().rpartition(")")[2].split()[0] == "T" for thread in threads))


def end_successors(server: Server) -> None:
    """Ends the processes that have taken over from a server, or were to."""
    for pid in map(int, re.findall(r"process (\d+) is to take over", server.log)):
        if is_alive(pid):
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda pid=pid: not is_alive(pid))


@pytest.fixture(autouse=True)
def only_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but PATH in the environment, as in a systemd unit: no PWD, HOME, USER or locale."""
    for name in set(os.environ) - {"PATH", "PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)
    # A test changes a module more than once a second, which bytecode that is cached by mtime would hide.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """An application of this test's own."""
    return Site(tmp_path)


@pytest.fixture
def serve(site: Site) -> Iterator[Callable[..., Supervised]]:
    """Starts servers of the site that end with the test, with all of their workers."""
    started: list[set[int]] = []
    with ExitStack() as servers:

        def start(*options: str, **settings: Any) -> Supervised:
            server = servers.enter_context(Supervised(site, *options, **settings))
            started.append(server.workers())
            return server

        yield start
    wait_until(lambda: not any(is_alive(worker) for workers in started for worker in workers))


@pytest.fixture
def load() -> Iterator[Callable[..., None]]:
    """Clients that ask until the test ends; a connection that breaks is made anew."""
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def ask(server: Server) -> None:
        while not ended.is_set():
            try:
                with Client(server.places[0], timeout=1) as client:
                    for _ in range(20):
                        client.get("/")
            except (OSError, Ended):
                continue

    def start(server: Server) -> None:
        threads.extend(threading.Thread(target=ask, args=(server,)) for _ in range(2))
        for thread in threads:
            thread.start()

    yield start
    ended.set()
    for thread in threads:
        thread.join(PATIENCE)
