"""What a server holds after minutes of load: memory, descriptors, threads.

    .venv/bin/python bench/soak.py              # a table for docs/reliability.md; two minutes and a half
    .venv/bin/python bench/soak.py --seconds 600

Two workers, first with recycling by requests, then without: what leaks in a worker would be gone with it, and
what replacing workers leaks is the supervisor's. Every second all processes are looked at; growth is the
slope of the straight line through the second half of these samples, times its length. The clients are those
of `clients.py`, with uploads, clients that leave before they have their answer, and such as send what is no
HTTP.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from clients import Closing, Load
from trial import HOST, Findings, Server, descriptors_of, memory_of, options_of, threads_of

APPLICATION = """
import time
def application(environ, start_response):
    environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.05)
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
# Growth over the second half that is none: a page here and there, and connections that come and go.
MEMORY_BOUND = 0.03  # of what there is
DESCRIPTORS_BOUND, THREADS_BOUND = 4.0, 1.0


class Uploading(Closing):
    """A body that goes to a temporary file."""

    kind = "upload"

    def exchange(self, connection: socket.socket, path: str) -> bool:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000))
        return super().exchange(connection, path)


class Leaving(Closing):
    """One that does not wait for its answer."""

    kind = "left"

    def exchange(self, connection: socket.socket, path: str) -> bool:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        return False


class Rubbish(Closing):
    """What is no HTTP."""

    kind = "rubbish"

    def exchange(self, connection: socket.socket, path: str) -> bool:
        connection.sendall(b"\x16\x03\x01 what?\r\n\r\n")
        while connection.recv(65536):
            pass
        return False


@dataclass
class Sample:
    """All processes at one moment."""

    at: float
    supervisor: tuple[float, int, int]
    workers: list[tuple[float, int, int]]


def main() -> int:
    """Both servers, the table, and whether anything grows."""
    parser = options_of(__doc__)
    parser.add_argument("--seconds", type=float, default=70, help="of load, for each of the two servers")
    parser.add_argument("--max-requests", type=int, default=3000)
    options = parser.parse_args()
    findings = Findings(
        "Server",
        "Process",
        "RSS in the middle",
        "at the end",
        "Growth",
        "Descriptors",
        "Growth",
        "Threads",
        "Growth",
    )
    asked: Counter[str] = Counter()
    replaced = {}
    recycling = ("--max-requests", str(options.max_requests), "--max-requests-jitter", "500")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "soaked.py").write_text(APPLICATION)
        for server_name, more in (("recycled", recycling), ("not recycled", ())):
            arguments = (
                "soaked.py",
                "--bind",
                f"{HOST}:0",
                "--workers",
                "2",
                "--spool-memory",
                "64KiB",
                *more,
            )
            with Server(options.python, folder, *arguments) as server:
                samples, load, pids = soak(server, options.seconds)
            asked.update(load.asked)
            replaced[server_name] = len(pids) - 2
            told(findings, server_name, samples)
            for what, number in Counter(failure.what for failure in load.failed).items():
                findings.must(False, f"{server_name}: {number} × {what}")
    print()
    findings.head(*asked, "Workers replaced")
    findings.row(*asked.values(), replaced["recycled"])
    findings.must(replaced["recycled"] > 2, "hardly any worker was recycled: more seconds are needed")
    findings.must(replaced["not recycled"] == 0, "a worker was replaced without recycling")
    return findings.end()


def soak(server: Server, seconds: float) -> tuple[list[Sample], Load, set[int]]:
    """Load, and a sample each second."""
    samples, pids = [], set()
    with Load(server.port, [Rubbish, Leaving, Uploading]) as load:
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            time.sleep(1)
            workers = server.workers()
            pids.update(workers)
            # One that is about to begin, or to end, is not what is looked for.
            looked = [figures for pid in workers if (figures := figures_of(pid))[2] > 1]
            samples.append(Sample(time.monotonic() - began, figures_of(server.pid), looked))
    return samples, load, pids


def figures_of(pid: int) -> tuple[float, int, int]:
    """Memory, descriptors, threads."""
    return memory_of(pid), descriptors_of(pid), threads_of(pid)


def told(findings: Findings, server: str, samples: list[Sample]) -> None:
    """Two rows: the supervisor, and the largest worker of each moment."""
    half = samples[len(samples) // 2 :]
    times = [sample.at for sample in half]
    largest = [tuple(map(max, zip(*sample.workers, strict=True))) for sample in half]
    for process, rows in (("supervisor", [sample.supervisor for sample in half]), ("worker", largest)):
        memory, descriptors, threads = ([row[at] for row in rows] for at in range(3))
        grown = [growth(times, values) for values in (memory, descriptors, threads)]
        findings.row(
            server,
            process,
            *(f"{memory[at]:.1f} MiB" for at in (0, -1)),
            f"{grown[0]:+.2f} MiB",
            max(descriptors),
            f"{grown[1]:+.1f}",
            max(threads),
            f"{grown[2]:+.1f}",
        )
        bounds = (max(MEMORY_BOUND * memory[0], 0.5), DESCRIPTORS_BOUND, THREADS_BOUND)
        names = ("memory", "descriptors", "threads")
        for name, more, bound in zip(names, grown, bounds, strict=True):
            findings.must(more <= bound, f"{server}: the {process}'s {name} grew by {more:.2f}")


def growth(times: list[float], values: list[float]) -> float:
    """The rise, from the first to the last, of the straight line that is nearest to the values."""
    count = len(times)
    mean_time, mean_value = sum(times) / count, sum(values) / count
    spread = sum((time - mean_time) ** 2 for time in times)
    together = sum(
        (time - mean_time) * (value - mean_value) for time, value in zip(times, values, strict=True)
    )
    return together / spread * (times[-1] - times[0]) if spread else 0.0


if __name__ == "__main__":
    sys.exit(main())
