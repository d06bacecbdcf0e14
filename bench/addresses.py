"""What a well-behaved client notices of one greedy address that takes all it gets.

    .venv/bin/python bench/addresses.py             # a table for docs/reliability.md; some two minutes

One client asks every millisecond, on a connection that it keeps and on a new one in turn, without `greedy.py`
and with it, round after round: it holds connections, TLS handshakes, requests or streams of HTTP/2 up to the
limits for a client address, and tries again what was refused, 500 times a second. The 99th percentile with it
may be 1.2 times that without it, each the median over the rounds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from crowd import APPLICATION, BOUND, KEPT, NEW, measure
from greedy import KINDS
from reload import certified
from trial import Findings, Server, allow_open_files, milliseconds, options_of, quantile

LIMITS = {"connections": 200, "handshakes": 50, "requests": 100, "streams": 100}
WANTED = 500  # of each
# This machine is exempt by default; 127.0.0.1, from where the well-behaved client asks, is one more address.
OPTIONS = ("--address-exempt", "192.0.2.1", "--address-connections", str(LIMITS["connections"]))
OPTIONS += ("--address-handshakes", str(LIMITS["handshakes"]), "--address-requests", str(LIMITS["requests"]))
# So that what is held is not given up for being slow while it is measured.
PATIENT = ("--tls-handshake-timeout", "10m", "--header-timeout", "10m", "--body-timeout", "10m")
PATIENT += ("--body-min-rate", "0")


def main() -> int:
    """A round for each kind, the table, and whether the bound is met."""
    parser = options_of(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement, two a round and kind")
    parser.add_argument("options", nargs="*", help="of the server, behind --")
    options = parser.parse_args()
    allow_open_files(WANTED + 1000)
    findings = Findings(
        "The address wants 500",
        "Holds",
        "Refused",
        "The client asks on",
        "p99 alone",
        "p99 beside it",
        "Ratio",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "shared.py").write_text(APPLICATION)
        certificate = certified(folder)
        tls = ("--tls-certificate", str(certificate), "--tls-key", str(certificate.with_suffix(".key")))
        places = ("--bind", "127.0.0.1:0", "--bind", "https://127.0.0.1:0")
        given = (*places, *tls, *OPTIONS, *PATIENT, *options.options)
        with Server(options.python, folder, "shared.py", *given) as server:
            measure(server.port, 1)
            for kind in KINDS:
                trial(findings, server, kind, options.rounds, options.seconds)
    return findings.end()


def trial(findings: Findings, server: Server, kind: str, rounds: int, seconds: float) -> None:
    """The rounds for one kind."""
    alone: dict[str, list[float]] = {KEPT: [], NEW: []}
    beside: dict[str, list[float]] = {KEPT: [], NEW: []}
    for _ in range(rounds):
        for asked, times in measure(server.port, seconds).items():
            alone[asked].append(quantile(times, 0.99))
        with Greedy(server.ports[kind == "handshakes"], kind) as greedy:
            for asked, times in measure(server.port, seconds).items():
                beside[asked].append(quantile(times, 0.99))
            held, refused = greedy.tell()
    for asked in (KEPT, NEW):
        without, within = median(alone[asked]), median(beside[asked])
        shown = (milliseconds(without), milliseconds(within), f"{within / without:.2f}")
        findings.row(kind, held, refused, asked, *shown)
        findings.must(within <= BOUND * without, f"{kind}: {asked} has {within / without:.2f} times the p99")
    most = LIMITS[kind]
    findings.must(0.9 * most <= held <= most, f"{kind}: it holds {held} of {most}")
    findings.must(refused > 0, f"{kind}: nothing was refused")


class Greedy:
    """The greedy address, from when it has tried all."""

    def __init__(self, port: int, kind: str) -> None:
        command = [sys.executable, str(Path(__file__).with_name("greedy.py")), kind, str(port), str(WANTED)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Greedy:
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "tried\n":
            raise SystemExit("the greedy address could not begin")
        time.sleep(1)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        time.sleep(1)

    def tell(self) -> tuple[int, int]:
        """What it holds, and how often it was refused."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print("tell", file=self.process.stdin, flush=True)
        told = json.loads(self.process.stdout.readline())
        return told["held"], told["refused"]


if __name__ == "__main__":
    sys.exit(main())
