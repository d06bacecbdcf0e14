"""Reloads and deaths of workers under load, and what clients notice of them.

    .venv/bin/python bench/reload.py            # 100 reloads; a table for docs/reliability.md
    .venv/bin/python bench/reload.py --reloads 10

Clients are threads over raw sockets, with a connection kept for their requests or one for each. A request
has failed when its connection could not be made, broke off before the whole answer, or the answer was not
200: nothing is tried again. A connection whose answer said `Connection: close` is replaced, as every client
does.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

APPLICATION = """
import time
def application(environ, start_response):
    status = {ready!r} if environ["PATH_INFO"] == "/ready" else "200 OK"
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.05)
    start_response(status, [("Content-Length", "5")])
    return [b"hello"]
"""


class Load:
    """Clients that ask until they are told to end."""

    def __init__(self, port: int, keeping: int, closing: int) -> None:
        self.port = port
        self.ended = threading.Event()
        self.asked: Counter[str] = Counter()
        self.failed: list[str] = []
        self.lock = threading.Lock()
        kinds = [True] * keeping + [False] * closing
        self.clients = [
            threading.Thread(target=self._ask, args=(number, kept)) for number, kept in enumerate(kinds)
        ]

    def __enter__(self) -> Load:
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for client in self.clients:
            client.join()

    def _ask(self, number: int, kept: bool) -> None:
        kind = "keep-alive" if kept else "a connection for each request"
        # Some ask without a pause, some with one, some for what takes a while.
        pause, path = (0.0, 0.01, 0.2)[number % 3], "/slow" if number % 4 == 3 else "/"
        connection: socket.socket | None = None
        asked = 0
        while not self.ended.is_set():
            asked += 1
            try:
                if connection is None:
                    connection = socket.create_connection(("127.0.0.1", self.port), 30)
                if not exchange(connection, path, kept):
                    connection.close()
                    connection = None
            except OSError as error:
                with self.lock:
                    self.failed.append(f"{kind}, {path}: {error!r}")
                if connection is not None:
                    connection.close()
                connection = None
            time.sleep(pause)
        if connection is not None:
            connection.close()
        with self.lock:
            self.asked[kind] += asked


def exchange(connection: socket.socket, path: str, kept: bool) -> bool:
    """One request and its answer. Tells whether the connection may be kept."""
    close = "" if kept else "Connection: close\r\n"
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n{close}\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\nhello"):
        block = connection.recv(65536)
        if not block:
            raise ConnectionError(f"the connection ended after {len(answer)} bytes of the answer")
        answer += block
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise ConnectionError(answer.split(b"\r\n")[0].decode())
    return b"connection: close" not in answer.lower()


class Server:
    """`onionskin serve --workers 2` of an application that is there to be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write()
        options = [
            "--workers",
            "2",
            "--bind",
            "127.0.0.1:0",
            "--ready-path",
            "/ready",
            "--boot-timeout",
            "20s",
        ]
        command = [sys.executable, "-m", "onionskin", "serve", "reloaded.py", *options]
        self.process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.lines = self.process.stderr
        self.port = int(re.findall(r":(\d+),", self.wait_for(" on http"))[0])

    def write(self, more: str = "", ready: str = "200 OK") -> None:
        """Puts the application there, at once."""
        new = self.folder / "new"
        new.write_text(APPLICATION.format(ready=ready) + more)
        new.replace(self.folder / "reloaded.py")

    def wait_for(self, pattern: str) -> str:
        """The next line of the log in which `pattern` is found."""
        for line in self.lines:
            if re.search(pattern, line):
                return line
        raise SystemExit("the server ended")

    def reload(self) -> str:
        """Reloads; the line that tells how it went."""
        self.process.send_signal(signal.SIGHUP)
        return self.wait_for("reloaded in|reload failed")

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def main() -> int:
    """Runs every case, prints the table, and tells by the status whether a request failed that must not."""
    parser = argparse.ArgumentParser(description="Reloads and deaths of workers under load.")
    parser.add_argument("--reloads", type=int, default=100)
    reloads = parser.parse_args().reloads
    failures = 0
    print("| Case | Requests: keep-alive | Requests: a connection each | Failed |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            with Load(server.port, 8, 4) as load:
                for _ in range(reloads):
                    expect("reloaded in", server.reload())
            failures += told(f"{reloads} reloads", load)
            broken = {
                "raises at its import": {"more": "raise ValueError"},
                "hangs at its import": {"more": "time.sleep(60)"},
                "answers 500 at the readiness path": {"ready": "500 Broken"},
            }
            for name, change in broken.items():
                server.write(**change)
                with Load(server.port, 8, 4) as load:
                    time.sleep(0.5)
                    expect("reload failed", server.reload())
                    time.sleep(0.5)
                failures += told(f"a reload into an application that {name}", load)
            server.write()
            with Load(server.port, 8, 4) as load:
                for _ in range(5):
                    time.sleep(1)
                    os.kill(server.workers()[0], signal.SIGKILL)
            told("5 times `kill -9` of a worker", load)
        finally:
            server.process.terminate()
            server.process.communicate()
    return 1 if failures else 0


def expect(pattern: str, line: str) -> None:
    """Ends the run where a reload did not go as it must."""
    if pattern not in line:
        raise SystemExit(line)


def told(case: str, load: Load) -> int:
    """Prints a row. Gives the number of requests that failed."""
    kept, each = load.asked["keep-alive"], load.asked["a connection for each request"]
    print(f"| {case} | {kept} | {each} | {len(load.failed)} |", flush=True)
    for failure, number in Counter(load.failed).items():
        print(f"{number} × {failure}", file=sys.stderr)
    return len(load.failed)


if __name__ == "__main__":
    sys.exit(main())
