"""A server's processes: started on their core, asked what they cost, stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from harness.places import APPLICATIONS, BIN, HOST, LOGS, PROJECT, SERVER_CORE
from harness.servers import SERVERS

TICKS = os.sysconf("SC_CLK_TCK")


class NotReady(Exception):
    """The server is not installed, ended by itself, or does not listen."""


@dataclass(frozen=True)
class Cpu:
    """Seconds of processor time."""

    user: float
    system: float

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(self.user - earlier.user, self.system - earlier.system)

    @property
    def total(self) -> float:
        return self.user + self.system


@dataclass(frozen=True)
class Memory:
    """MiB. `peak` and `rss` count shared pages once a process, `pss` divides them among their users."""

    peak: float
    rss: float
    pss: float


class Server:
    """A context in which one server runs with one application, on a free port."""

    def __init__(self, name: str, app: str, pinned: bool = True) -> None:
        self.name = name
        self.port = free_port()
        self.pinning = ["taskset", "-c", str(SERVER_CORE)] if pinned else []
        # What follows a plus sign only tells two applications of the same server apart.
        self.command = SERVERS[name.partition("+")[0]](app, self.port)
        self.log = LOGS / f"{name}.log"

    def __enter__(self) -> Server:
        if not Path(self.command[0]).exists():
            raise NotReady("is not installed")
        environment = dict(os.environ, PYTHONPATH=str(APPLICATIONS), PATH=f"{BIN}:{os.environ['PATH']}")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*self.pinning, *self.command],
                stdout=log,
                stderr=log,
                cwd=APPLICATIONS,
                env=environment,
                start_new_session=True,
            )
        try:
            self._wait_until_it_listens()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def pids(self) -> list[int]:
        return descendants(self.process.pid)

    def _wait_until_it_listens(self, timeout: float = 20) -> None:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise NotReady(f"ended with {self.process.returncode}: {last_line(self.log)}")
            try:
                socket.create_connection((HOST, self.port), timeout=3).close()
                return
            except OSError:
                time.sleep(0.05)
        raise NotReady(f"does not listen after {timeout:.0f} s: {last_line(self.log)}")

    def _stop(self) -> None:
        pids = self.pids()
        for number, patience in ((signal.SIGTERM, 3.0), (signal.SIGINT, 1.0), (signal.SIGKILL, 3.0)):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(patience)
                except subprocess.TimeoutExpired:
                    continue
            break
        for pid in pids[1:]:  # workers that outlived their parent
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def last_line(log: Path) -> str:
    """Without this machine's folders: it may end up in the results."""
    lines = log.read_text(errors="replace").replace(f"{PROJECT}/", "").strip().splitlines()
    return lines[-1] if lines else "nothing in its log"


def descendants(pid: int) -> list[int]:
    """The process and all that it started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := stat_fields(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, unseen = [], [pid]
    while unseen:
        found.append(unseen.pop())
        unseen += children.get(found[-1], [])
    return found


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name; none when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_of(pids: list[int]) -> Cpu:
    """User and system time of the processes and of their children that have ended."""
    rows = [fields for pid in pids if (fields := stat_fields(pid))]
    user = sum(int(row[11]) + int(row[13]) for row in rows)
    system = sum(int(row[12]) + int(row[14]) for row in rows)
    return Cpu(user / TICKS, system / TICKS)


def memory_of(pids: list[int]) -> Memory:
    kibibytes = {"VmHWM": 0, "VmRSS": 0, "Pss": 0}
    for pid in pids:
        for file in ("status", "smaps_rollup"):
            try:
                lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
            except OSError:
                continue
            for line in lines:
                name, _, value = line.partition(":")
                if name in kibibytes:
                    kibibytes[name] += int(value.split()[0])
    return Memory(kibibytes["VmHWM"] / 1024, kibibytes["VmRSS"] / 1024, kibibytes["Pss"] / 1024)


def threads_of(pids: list[int]) -> list[Path]:
    found: list[Path] = []
    for pid in pids:
        try:
            found += Path(f"/proc/{pid}/task").iterdir()
        except OSError:
            continue
    return found


def context_switches_of(pids: list[int]) -> int:
    total = 0
    for thread in threads_of(pids):
        try:
            lines = (thread / "status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return total
