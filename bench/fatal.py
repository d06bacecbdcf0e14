"""A request a second that ends its worker, while other clients ask: how many of theirs are answered.

    .venv/bin/python bench/fatal.py             # a table for docs/reliability.md; two minutes

gunicorn with as many sync workers does the same: as many requests must be answered, but for a twentieth.
"""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

from trial import HOST, Findings, Server, milliseconds, options_of, quantile, wait_until

APPLICATION = """
import ctypes, os

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/exits":
        os._exit(1)
    if path == "/crashes":
        ctypes.string_at(0)
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
WAYS = {"/exits": "`os._exit(1)`", "/crashes": "SIGSEGV"}
CLIENTS = 4
PAUSE = 0.005  # seconds between a client's requests, each on a connection of its own


class Gunicorn:
    """gunicorn in place of our server."""

    def __init__(self, python: str, folder: Path, workers: int) -> None:
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port = free.getsockname()[1]
        place = f"{HOST}:{self.port}"
        command = [python, "-m", "gunicorn", "-w", str(workers), "-b", place, "--log-level", "critical"]
        self.process = subprocess.Popen(
            [*command, "fatal:application"], cwd=folder, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: ask(self.port, "/"), "gunicorn does not answer")

    def __enter__(self) -> Gunicorn:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def main() -> int:
    """Both servers in both ways, the table, and whether ours answers as many."""
    parser = options_of(__doc__)
    parser.add_argument("--seconds", type=float, default=25, help="of each trial")
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    findings = Findings(
        "The request ends in", "Server", "Answered", "Failed", "p99", "Longest without an answer"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fatal.py").write_text(APPLICATION)
        for path, about in WAYS.items():
            given = ("fatal.py", "--bind", f"{HOST}:0", "--workers", str(options.workers))
            with Gunicorn(options.python, folder, options.workers) as server:
                theirs = trial(server.port, path, options.seconds, (about, "gunicorn"), findings)
            with Server(options.python, folder, *given) as server:
                ours = trial(server.port, path, options.seconds, (about, "onionskin"), findings)
            findings.must(
                ours >= 0.95 * theirs, f"{about}: {ours} requests were answered, {theirs} by gunicorn"
            )
    return findings.end()


def ask(port: int, path: str) -> bool:
    """Whether a request on a connection of its own is answered."""
    client = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        client.request("GET", path)
        return client.getresponse().read() == b"hello"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()


def trial(port: int, path: str, seconds: float, names: tuple[str, str], findings: Findings) -> int:
    """Returns how many requests were answered."""
    due = time.monotonic() + seconds
    answered: list[tuple[float, float]] = []
    failed: list[float] = []

    def client() -> None:
        while (began := time.monotonic()) < due:
            if ask(port, "/"):
                answered.append((time.monotonic(), time.monotonic() - began))
            else:
                failed.append(began)
            time.sleep(PAUSE)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    while time.monotonic() < due - 1:
        ask(port, path)
        time.sleep(1)
    for thread in threads:
        thread.join()
    ends = sorted(end for end, _ in answered)
    pauses = [after - before for before, after in pairwise(ends)]
    p99 = quantile([took for _, took in answered], 0.99)
    findings.row(*names, len(answered), len(failed), milliseconds(p99), milliseconds(max(pauses)))
    return len(answered)


if __name__ == "__main__":
    sys.exit(main())
