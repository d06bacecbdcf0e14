"""A real `onionskin serve`, in a process of its own, on ports that the system chose."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from server.client import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

HERE = Path(__file__).parent
APPLICATION = "applications.py:application"
ONIONSKIN = (sys.executable, "-m", "onionskin")
PATIENCE = 10.0
"""How long, in seconds, to wait for what comes at once on a machine that is not overloaded."""


class Process:
    """A child process whose standard error is kept, line by line."""

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path = HERE,
        most_files: int | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        def prepare() -> None:
            # Ignored in what a shell runs in the background, and that is inherited.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if most_files is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))

        self.popen = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            # SIGINT goes to the one process that is meant.
            start_new_session=True,
            pass_fds=pass_fds,
            preexec_fn=prepare,
        )
        self.lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._collector = threading.Thread(target=self._collect, daemon=True)
        self._collector.start()

    def _collect(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @property
    def log(self) -> str:
        """All of standard error so far."""
        return "\n".join(self.lines)

    def wait_for_line(self, pattern: str, count: int = 1, timeout: float = PATIENCE) -> str:
        """The `count`-th line of standard error that `pattern` is found in."""

        def found() -> list[str]:
            return [line for line in self.lines if re.search(pattern, line)]

        with self._news:
            self._news.wait_for(lambda: len(found()) >= count or self._ended, timeout)
            lines = found()
        assert len(lines) >= count, f"no {pattern!r} ({count} times) in:\n{self.log}"
        return lines[count - 1]

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Sends a signal."""
        self.popen.send_signal(number)

    def wait(self, timeout: float = PATIENCE) -> int:
        """The exit code, when it has ended and its standard error is all there."""
        code = self.popen.wait(timeout)
        self._collector.join(timeout)
        return code

    def cpu_time(self) -> float:
        """The CPU time that it has used, in seconds."""
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def descriptors(self) -> int:
        """How many file descriptors it has open."""
        return sum(1 for _ in Path(f"/proc/{self.popen.pid}/fd").iterdir())

    def kill(self) -> None:
        """Ends it at once, if it has not ended."""
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait(PATIENCE)
        self._collector.join(PATIENCE)
        if self.popen.stderr is not None:
            self.popen.stderr.close()


class Server(Process):
    """`onionskin serve` of `target`. `options` are further arguments of the command line."""

    def __init__(
        self,
        *options: str,
        target: str | None = APPLICATION,
        threads: int | None = 4,
        bind: Sequence[str] = ("127.0.0.1:0",),
        cwd: Path = HERE,
        most_files: int | None = None,
    ) -> None:
        self._clients: list[Client] = []
        places = [argument for place in bind for argument in ("--bind", place)]
        given = [] if target is None else [target]
        given += [] if threads is None else ["--threads", str(threads)]
        command = [*ONIONSKIN, "serve", *given, *places, *options]
        super().__init__(command, cwd, most_files)
        try:
            announced = self.wait_for_line(r"^onionskin \S+ on ")
        except BaseException:
            self.kill()
            raise
        self.places = re.findall(r"(?:https?|redirect)://\S+?(?=,)|unix:[^,]+(?=,)", announced)

    @property
    def port(self) -> int:
        """The TCP port of the first place."""
        return int(self.places[0].rpartition(":")[2])

    def client(self, place: int = 0, timeout: float = PATIENCE) -> Client:
        """A new connection to one of the places; it is closed with the server at the latest."""
        self._clients = [client for client in self._clients if not client.is_closed]
        self._clients.append(Client(self.places[place], timeout))
        return self._clients[-1]

    def get(self, path: str, place: int = 0) -> bytes:
        """The body of one answer on a connection of its own; it must be 200."""
        with self.client(place) as client:
            response = client.get(path)
        assert response.status == 200, (response, self.log)
        return response.body

    def stop(self) -> int:
        """Stops it gracefully; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for client in self._clients:
            client.close()


def wait_until(holds: Callable[[], bool], timeout: float = PATIENCE) -> None:
    """Waits for what cannot tell that it has happened."""
    due = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < due, "waited in vain"
        time.sleep(0.005)
