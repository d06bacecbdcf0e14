"""Requests in which the application forks, under load: no answer may be missing, wrong or doubled.

.venv/bin/python bench/forks.py             # a table for docs/reliability.md; two minutes
"""

from __future__ import annotations

import http.client
import sys
import tempfile
import threading
import time
from pathlib import Path

from trial import HOST, Findings, Server, descriptors_of, options_of

APPLICATION = """
import os, sys

def application(environ, start_response):
    kind, body = environ["PATH_INFO"].strip("/"), b"hello"
    if kind:
        pid = os.fork()
        if pid == 0:
            if kind == "raises":
                raise ValueError(kind)
            if kind == "exits":
                sys.exit(7)
            if kind == "leaves" or kind == "twice" and os.fork():
                os._exit(8)
            body = b"the child's answer"
        else:
            os.waitpid(pid, 0)
            body = kind.encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
KINDS = {
    "returns": "returns",
    "raises": "raises",
    "exits": "calls `sys.exit()`",
    "leaves": "calls `os._exit()`",
    "twice": "forks again, and returns",
}
MANNERS = {
    "one process": (),
    "two workers": ("--workers", "2"),
    "`--preload`": ("--workers", "2", "--preload"),
}


def main() -> int:
    """Every kind in every manner, the table, and whether all was answered."""
    parser = options_of(__doc__)
    parser.add_argument("--forks", type=int, default=1000, help="of each kind, in each manner")
    options = parser.parse_args()
    findings = Findings("The child", "Server", "Forks", "Other requests", "Failed", "Processes that ended")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "forks.py").write_text(APPLICATION)
        for manner, arguments in MANNERS.items():
            for kind, about in KINDS.items():
                given = ("forks.py", "--bind", "127.0.0.1:0", "--threads", "4", *arguments)
                with Server(options.python, folder, *given) as server:
                    trial(server, kind, (about, manner), options.forks, findings)
    return findings.end()


def trial(server: Server, kind: str, names: tuple[str, str], forks: int, findings: Findings) -> None:
    """Forks under load. What a child sent on a client's connection would be its next answer."""
    faults: list[str] = []
    ended = threading.Event()
    counts = [0, 0]

    def ask(path: str, expected: bytes, times: float, index: int) -> None:
        client = http.client.HTTPConnection(HOST, server.port, timeout=30)
        asked = 0
        while asked < times and not ended.is_set():
            asked += 1
            try:
                client.request("GET", path)
                answer = client.getresponse()
                body = answer.read()
                if answer.status != 200 or body != expected:
                    faults.append(f"{path} was answered {answer.status} {body!r}")
            except (OSError, http.client.HTTPException) as error:
                faults.append(f"{path}: {error!r}")
                client.close()
        counts[index] += asked
        client.close()

    # So many that calls are made inline.
    ask("/", b"hello", 300, 1)
    processes = {server.pid, *server.workers()}
    before = descriptors_of(server.pid)
    arguments = [(f"/{kind}", kind.encode(), forks / 4, 0)] * 4 + [("/", b"hello", float("inf"), 1)] * 2
    threads = [threading.Thread(target=ask, args=each) for each in arguments]
    for thread in threads:
        thread.start()
    for thread in threads[:4]:
        thread.join()
    ended.set()
    for thread in threads[4:]:
        thread.join()
    gone = processes - {server.pid, *server.workers()}
    findings.row(*names, counts[0], counts[1], len(faults), len(gone))
    where = ", ".join(names)
    for fault in faults[:3]:
        findings.must(False, f"{where}: {fault}")
    findings.must(not gone, f"{where}: {len(gone)} processes ended")
    findings.must(not server.said("panicked"), f"{where}: a thread panicked")
    time.sleep(0.2)
    findings.must(descriptors_of(server.pid) <= before + 2, f"{where}: descriptors were left")


if __name__ == "__main__":
    sys.exit(main())
