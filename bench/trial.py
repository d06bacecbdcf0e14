"""What the commands of docs/reliability.md share: a server under trial, what it uses, a table of findings."""

from __future__ import annotations

import argparse
import os
import re
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

HOST = "127.0.0.1"
PATIENCE = 30.0  # seconds, for what comes at once on a machine that is not overloaded


def options_of(about: str | None) -> argparse.ArgumentParser:
    """The command line that all of these commands have."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="PATH",
        help="the interpreter whose onionskin is tried; by default the one that runs this",
    )
    return parser


class Server:
    """`onionskin serve` in a process of its own. Its log is kept, line by line, and waited for."""

    def __init__(
        self,
        python: str,
        folder: Path,
        *arguments: str,
        most_files: int | None = None,
        largest_file: int | None = None,
        environment: Mapping[str, str] | None = None,
        output: int = subprocess.DEVNULL,
    ) -> None:
        def prepare() -> None:
            if most_files is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        command = [python, "-m", "onionskin", "serve", *arguments, "--no-config"]
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            preexec_fn=prepare,
        )
        self.pid = self.process.pid
        self.lines: list[str] = []
        self._seen = 0
        self._ended = False
        self._news = threading.Condition()
        self._breaking = threading.Event()
        self._collector = threading.Thread(target=self._collect, daemon=True)
        self._collector.start()
        announced = self.wait_for(r"^onionskin \S+ on ")
        self.ports = [int(port) for port in re.findall(r"https?://\S+?:(\d+),", announced)]

    @property
    def port(self) -> int:
        """The port of the first place."""
        return self.ports[0]

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the server, or to the supervisor of its workers."""
        os.kill(self.pid, number)

    def succeeded_by(self, pid: int) -> None:
        """Another process has taken its place; waits until the former one has ended."""
        former, self.pid = self.pid, pid
        wait_until(lambda: self._is_gone(former), f"process {former} goes on after its upgrade")

    def _is_gone(self, pid: int) -> bool:
        return (
            self.process.poll() is not None
            if pid == self.process.pid
            else status_of(pid).get("State", "Z").startswith("Z")
        )

    def _collect(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            rest = b""
            while not self._breaking.is_set():
                if not select.select([stream], [], [], 0.1)[0]:
                    continue
                block = stream.read1(65536)
                if not block:
                    break
                *lines, rest = (rest + block).split(b"\n")
                with self._news:
                    self.lines += [line.decode(errors="replace") for line in lines]
                    self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def wait_for(self, pattern: str, timeout: float = PATIENCE) -> str:
        """The next line of the log in which `pattern` is found; each line is found once."""

        def found() -> bool:
            while self._seen < len(self.lines):
                self._seen += 1
                if re.search(pattern, self.lines[self._seen - 1]):
                    return True
            return False

        with self._news:
            if self._news.wait_for(lambda: found() or self._ended, timeout) and not self._ended:
                return self.lines[self._seen - 1]
        self.process.kill()
        raise SystemExit("\n".join([f"waited in vain for {pattern!r}; the log:", *self.lines[-40:]]))

    def said(self, pattern: str) -> int:
        """How many lines of the log `pattern` is found in."""
        return sum(bool(re.search(pattern, line)) for line in self.lines)

    def break_log(self) -> None:
        """Ends the reading of its standard error, as a reader does that dies."""
        self._breaking.set()
        self._collector.join()

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        return children_of(self.pid)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_gone(self.pid):
            self.signal(signal.SIGTERM)
        due = time.monotonic() + 5
        while not self._is_gone(self.pid):
            if time.monotonic() > due:
                self.signal(signal.SIGKILL)
            time.sleep(0.01)
        self.process.wait()


class Findings:
    """A table, printed row by row, and what in it is not as it must be."""

    def __init__(self, *columns: str) -> None:
        self.faults: list[str] = []
        self.head(*columns)

    def head(self, *columns: str) -> None:
        """Begins a table."""
        self.row(*columns)
        self.row(*["---"] * len(columns))

    def row(self, *cells: object) -> None:
        """One row."""
        print(f"| {' | '.join(map(str, cells))} |", flush=True)

    def must(self, holds: bool, otherwise: str) -> None:
        """Notes a fault, unless it holds."""
        if not holds:
            self.faults.append(otherwise)

    def end(self) -> int:
        """Tells of the faults; the exit status."""
        for fault in self.faults:
            print(f"NOT AS IT MUST BE: {fault}", file=sys.stderr)
        return 1 if self.faults else 0


def quantile(times: Sequence[float], share: float) -> float:
    """The value that so large a share of `times` does not exceed."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def milliseconds(seconds: float) -> str:
    """As tables have it."""
    return f"{seconds * 1000:.2f} ms"


def children_of(pid: int) -> list[int]:
    """The processes that it started and that still are."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def status_of(pid: int) -> dict[str, str]:
    """The lines of /proc/PID/status; none when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def memory_of(pid: int) -> float:
    """Its resident memory, in MiB; 0 when it is gone."""
    return int(status_of(pid).get("VmRSS", "0").split()[0]) / 1024


def threads_of(pid: int) -> int:
    """How many threads it has."""
    return int(status_of(pid).get("Threads", "0"))


def descriptors_of(pid: int) -> int:
    """How many file descriptors it has open."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0


def allow_open_files(number: int) -> None:
    """Lets this process, and those that it starts, open so many files, or ends it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        if hard != resource.RLIM_INFINITY and hard < number:
            raise SystemExit(f"{number} open files are needed, but `ulimit -Hn` is {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


def wait_until(holds: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
    """Waits for what cannot tell that it has happened."""
    due = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > due:
            raise SystemExit(f"waited in vain: {what}")
        time.sleep(0.01)
