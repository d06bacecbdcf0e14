"""Health, and answers that need no Python, while every thread of the application is stuck.

    .venv/bin/python bench/stuck.py             # a table for docs/reliability.md; a minute and a half

Threads are stuck in three ways: they sleep, they compute, or one of them holds the interpreter without ever
letting go of it. Meanwhile a client asks whether the server lives, and for a file.
"""

from __future__ import annotations

import http.client
import sys
import tempfile
import threading
import time
from pathlib import Path

from trial import HOST, Findings, Server, milliseconds, options_of, quantile

APPLICATION = """
import re, time
from onionskin import StaticFiles

def application(environ, start_response):
    due = time.monotonic() + SECONDS
    if environ["PATH_INFO"] == "/sleeps":
        time.sleep(SECONDS)
    elif environ["PATH_INFO"] == "/computes":
        while time.monotonic() < due:
            sum(range(1000))
    elif environ["PATH_INFO"] == "/holds":
        re.match("(a+)+$", "a" * 64 + "!")  # which takes longer than anybody lives
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]

application = StaticFiles(application, "files", prefix="/static")
"""
THREADS = 4
FILE = bytes(10_240)
PATHS = {"health": ("/-/live", None), "a file of 10 KB": ("/static/file.bin", FILE)}
WAYS = {
    "sleep": ("/sleeps", "every thread sleeps"),
    "compute": ("/computes", "every thread computes"),
    "hold": ("/holds", "the interpreter is held"),
}
BOUND = 0.05  # seconds, for the 99th percentile


def main() -> int:
    """Every way, the table, and whether the bound is met."""
    parser = options_of(__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="that threads are stuck, in each way")
    options = parser.parse_args()
    findings = Findings("Meanwhile", "Asked for", "Requests", "p50", "p99", "Longest", "Bound of the p99")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "stuck.py").write_text(f"SECONDS = {options.seconds}\n{APPLICATION}")
        (folder / "files").mkdir()
        (folder / "files" / "file.bin").write_bytes(FILE)
        for path, meanwhile in WAYS.values():
            arguments = ("stuck.py", "--bind", "127.0.0.1:0", "--threads", str(THREADS))
            with Server(options.python, folder, *arguments) as server:
                trial(server, path, meanwhile, options.seconds, findings)
    return findings.end()


def trial(server: Server, path: str, meanwhile: str, seconds: float, findings: Findings) -> None:
    """Lets all threads be stuck, and asks for what needs none."""
    # More than there are threads: the rest waits for one.
    stuck = [ask_in_vain(server.port, path) for _ in range(THREADS + 4)]
    time.sleep(1)
    taken: dict[str, list[float]] = {name: [] for name in PATHS}
    due = time.monotonic() + seconds - 2
    clients = {name: http.client.HTTPConnection(HOST, server.port, timeout=seconds) for name in PATHS}
    while time.monotonic() < due:
        for name, (asked, body) in PATHS.items():
            began = time.monotonic()
            clients[name].request("GET", asked)
            answer = clients[name].getresponse()
            received = answer.read()
            taken[name].append(time.monotonic() - began)
            right = answer.status == 200 and body in (None, received)
            findings.must(right, f"{meanwhile}: {asked} was answered {answer.status}")
        time.sleep(0.01)
    for name, times in taken.items():
        p50, p99 = quantile(times, 0.5), quantile(times, 0.99)
        shown = [milliseconds(figure) for figure in (p50, p99, max(times), BOUND)]
        findings.row(meanwhile, name, len(times), *shown)
        findings.must(p99 < BOUND, f"{meanwhile}: {name} has a p99 of {milliseconds(p99)}")
    findings.must(
        all(thread.is_alive() for thread in stuck), f"{meanwhile}: a thread was not stuck all the while"
    )
    server.process.kill()


def ask_in_vain(port: int, path: str) -> threading.Thread:
    """A request that is not answered for as long as it is looked at."""

    def ask() -> None:
        connection = http.client.HTTPConnection(HOST, port)
        try:
            connection.request("GET", path)
            connection.getresponse()
        except OSError:
            pass  # the server was killed
        finally:
            connection.close()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    return thread


if __name__ == "__main__":
    sys.exit(main())
