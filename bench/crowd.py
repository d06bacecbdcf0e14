"""What a well-behaved client notices of thousands of others that are idle, slow or silent.

    .venv/bin/python bench/crowd.py             # a table for docs/reliability.md; some two minutes

One client asks every millisecond, on a connection that it keeps and on a new one in turn, without the crowd
of `crowding.py` and with it, round after round. The 99th percentile with it may be 1.2 times that without it,
each the median over the rounds. The server has its default options and one process.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from clients import Closing, KeepAlive
from trial import (
    Findings,
    Server,
    allow_open_files,
    descriptors_of,
    memory_of,
    milliseconds,
    options_of,
    quantile,
    wait_until,
)

APPLICATION = """
LARGE = bytes(1 << 20)
def application(environ, start_response):
    body = LARGE if environ["PATH_INFO"] == "/large" else b"hello"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
BOUND = 1.2  # times the 99th percentile without the crowd
MEMORY_BOUND = 16  # KiB a connection, whatever it does
CERTIFICATE = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
KEPT, NEW = "a kept connection", "a new connection"


def main() -> int:
    """The rounds, the table, and whether the bound is met."""
    parser = options_of(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8, help="of each measurement, two a round")
    parser.add_argument("--idle", type=int, default=10_000)
    parser.add_argument("--slow", type=int, default=500, help="slow heads, and as many slow bodies")
    parser.add_argument("--silent", type=int, default=200, help="silent handshakes, and as many slow readers")
    parser.add_argument("options", nargs="*", help="of the server, behind --")
    options = parser.parse_args()
    counts = [options.idle, options.slow, options.slow, options.silent, options.silent]
    allow_open_files(sum(counts) + 1000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "crowded.py").write_text(APPLICATION)
        subject = ("-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "certificate.pem")
        subprocess.run([*CERTIFICATE, *subject], cwd=folder, check=True, capture_output=True)
        places = ("--bind", "127.0.0.1:0", "--bind", "https://127.0.0.1:0")
        tls = ("--tls-certificate", "certificate.pem", "--tls-key", "key.pem")
        with Server(options.python, folder, "crowded.py", *places, *tls, *options.options) as server:
            return trial(server, counts, options.rounds, options.seconds)


def trial(server: Server, counts: list[int], rounds: int, seconds: float) -> int:
    """Measures round after round."""
    alone: dict[str, list[float]] = {KEPT: [], NEW: []}
    crowded: dict[str, list[float]] = {KEPT: [], NEW: []}
    findings = Findings(
        "Round", "p99, alone", "p99, crowded", "alone, new", "crowded, new", "RSS", "RSS, crowded"
    )
    measure(server.port, 1)
    resident: list[float] = []
    for number in range(rounds):
        memory = memory_of(server.pid)
        for kind, times in measure(server.port, seconds).items():
            alone[kind].append(quantile(times, 0.99))
        with Crowd(server, counts) as crowd:
            for kind, times in measure(server.port, seconds).items():
                crowded[kind].append(quantile(times, 0.99))
            filled = memory_of(server.pid)
            said = crowd.tell()
        resident += [memory, filled]
        shown = [milliseconds(times[kind][-1]) for kind in (KEPT, NEW) for times in (alone, crowded)]
        findings.row(number + 1, *shown, f"{memory:.0f} MiB", f"{filled:.0f} MiB")
    print()
    findings.head("The client asks on", "p99 alone", "p99 in the crowd", "Ratio", "Bound")
    for kind in (KEPT, NEW):
        without, within = median(alone[kind]), median(crowded[kind])
        findings.row(kind, milliseconds(without), milliseconds(within), f"{within / without:.2f}", BOUND)
        findings.must(
            within <= BOUND * without, f"{kind}: {within / without:.2f} times the p99 without a crowd"
        )
    print()
    findings.head("The crowd, in the last round", "Held", "Closed by the server, and come again")
    for kind, (held, again) in said.items():
        findings.row(kind, held, again)
        findings.must(held > 0, f"none held: {kind}")
    print()
    findings.head("Memory of a connection of the crowd, at the most", "Bound")
    each = (max(resident) - resident[0]) * 1024 / sum(counts)
    findings.row(f"{each:.1f} KiB", f"{MEMORY_BOUND} KiB")
    findings.must(each <= MEMORY_BOUND, f"a connection takes {each:.1f} KiB")
    return findings.end()


def measure(port: int, seconds: float) -> dict[str, list[float]]:
    """How long answers took."""
    times: dict[str, list[float]] = {KEPT: [], NEW: []}
    clients = ((KEPT, KeepAlive(port)), (NEW, Closing(port)))
    gc.disable()
    due = time.perf_counter() + seconds
    while time.perf_counter() < due:
        for kind, client in clients:
            began = time.perf_counter()
            failures = client.ask("/")
            times[kind].append(time.perf_counter() - began)
            if failures:
                raise SystemExit(f"a request on {kind} failed: {failures[0]}")
            time.sleep(0.001)
    gc.enable()
    clients[0][1].close()
    return times


class Crowd:
    """The crowd, from when all of it is there until the server has closed the last of it."""

    def __init__(self, server: Server, counts: list[int]) -> None:
        self.server = server
        self.before = descriptors_of(server.pid)
        command = [sys.executable, str(Path(__file__).with_name("crowding.py"))]
        places = [str(number) for number in (*server.ports[:2], *counts)]
        self.process = subprocess.Popen(
            [*command, *places], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Crowd:
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "held\n":
            raise SystemExit("the crowd could not be held")
        time.sleep(1)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        wait_until(lambda: descriptors_of(self.server.pid) <= self.before + 8, "a crowd that is gone")
        time.sleep(1)

    def tell(self) -> dict[str, list[int]]:
        """What it holds, and how often it came again."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print("tell", file=self.process.stdin, flush=True)
        told: dict[str, list[int]] = json.loads(self.process.stdout.readline())
        return told


if __name__ == "__main__":
    sys.exit(main())
