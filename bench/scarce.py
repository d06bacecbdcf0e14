"""A server that runs out of descriptors, disk or a log that can be written: it serves on, and says so once.

    .venv/bin/python bench/scarce.py            # a table for docs/reliability.md; half a minute

The disk is a small one that is mounted for it, where that is permitted; elsewhere files may not grow beyond a
size, which is the same to the one who writes.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from clients import Closing, KeepAlive
from trial import HOST, Findings, Server, milliseconds, options_of, quantile, wait_until

APPLICATION = """
import os
HELD = [open(os.devnull) for _ in range(int(os.environ.get("HELD", "0")))]

def application(environ, start_response):
    environ["wsgi.input"].read()
    if environ["PATH_INFO"] == "/complain":
        print("a complaint", file=environ["wsgi.errors"], flush=True)
    if environ["PATH_INFO"] == "/raise":
        raise ValueError("on purpose")
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
MOST_FILES = 64
DISK = 1 << 20  # bytes that fit
UPLOAD = bytes(4 << 20)


def main() -> int:
    """Every case, the table, and whether each was as it must be."""
    parser = options_of(__doc__)
    parser.add_argument("--seconds", type=float, default=4, help="that each case lasts")
    options = parser.parse_args()
    findings = Findings(
        "Case",
        "Requests",
        "Failed",
        "p99",
        "Of those that needed what there was none of",
        "Said",
        "Afterwards",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "scarce.py").write_text(APPLICATION)
        for case in CASES:
            case(Trial(options.python, folder, options.seconds, findings))
    return findings.end()


class Trial:
    """What the cases need."""

    def __init__(self, python: str, folder: Path, seconds: float, findings: Findings) -> None:
        self.python, self.folder = python, folder
        self.seconds, self.findings = seconds, findings

    def serve(self, *arguments: str, **more: object) -> Server:
        """A server with one process."""
        return Server(self.python, self.folder, "scarce.py", "--bind", "127.0.0.1:0", *arguments, **more)  # type: ignore[arg-type]

    def ask(self, client: KeepAlive, path: str = "/") -> tuple[list[float], list[str]]:
        """A request every 5 ms: the times, and what failed."""
        times: list[float] = []
        failed: list[str] = []
        due = time.monotonic() + self.seconds
        while time.monotonic() < due:
            began = time.monotonic()
            failed += client.ask(path)
            times.append(time.monotonic() - began)
            time.sleep(0.005)
        client.close()
        return times, failed

    def tell(
        self, case: str, asked: tuple[list[float], list[str]], needed: str, said: int | None, afterwards: bool
    ) -> None:
        """A row, and what is wrong with it. `said` is None where there is nowhere to say it."""
        times, failed = asked
        shown = "nowhere to say it" if said is None else f"{said} line" + "s" * (said != 1)
        after = "as before" if afterwards else "NOT WELL"
        cells = (len(times), len(failed), milliseconds(quantile(times, 0.99)), needed, shown, after)
        self.findings.row(case, *cells)
        self.findings.must(not failed, f"{case}: {Counter(failed).most_common(3)}")
        self.findings.must(said in (None, 1), f"{case}: it was said {said} times, not once")
        self.findings.must(afterwards, f"{case}: the server is not well afterwards")


def no_descriptors(trial: Trial) -> None:
    """More connections come than the process has descriptors for; some end, others come, all the while."""
    # The server takes no more connections than it has files for, but can't know what the application takes.
    environment = {"HELD": str(MOST_FILES // 2)}
    with trial.serve("--header-timeout", "30s", most_files=MOST_FILES, environment=environment) as server:
        kept = KeepAlive(server.port)
        kept.ask("/")
        with more_and_more(server.port, 2 * MOST_FILES) as begun:
            server.wait_for("no connection can be accepted for now")
            asked = trial.ask(kept)
        said = server.said("no connection can be accepted")
        afterwards = is_well(server)
        needed = f"{begun()} connections wait until others end"
        trial.tell(f"no file descriptors left (of {MOST_FILES})", asked, needed, said, afterwards)


@contextmanager
def more_and_more(port: int, count: int) -> Iterator[Callable[[], int]]:
    """So many connections open, each for a tenth of a second at least; gives how many there were."""
    connections = [socket.create_connection((HOST, port)) for _ in range(count)]
    begun, ended = [count], threading.Event()

    def turn() -> None:
        while not ended.wait(0.1 / count):
            connections.pop(0).close()
            connections.append(socket.create_connection((HOST, port)))
            begun[0] += 1

    thread = threading.Thread(target=turn)
    thread.start()
    try:
        yield lambda: begun[0]
    finally:
        ended.set()
        thread.join()
        for connection in connections:
            connection.close()


def full_disk(trial: Trial) -> None:
    """Uploads that do not fit where they are to wait for the application."""
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(trial.folder))
        limits = {} if disk else {"largest_file": DISK}
        environment = {"TMPDIR": str(disk or trial.folder)}
        server = stack.enter_context(
            trial.serve("--spool-memory", "64KiB", environment=environment, **limits)
        )
        statuses: Counter[str] = Counter()
        ended = threading.Event()

        def send() -> None:
            while not ended.is_set():
                statuses[upload(server.port, UPLOAD)] += 1

        senders = [threading.Thread(target=send) for _ in range(2)]
        for sender in senders:
            sender.start()
        asked = trial.ask(KeepAlive(server.port))
        ended.set()
        for sender in senders:
            sender.join()
        said = server.said("could not be stored")
        afterwards = is_well(server) and upload(server.port, UPLOAD[: DISK // 2]) == "200"
        needed = ", ".join(f"{number} uploads: {status}" for status, number in sorted(statuses.items()))
        trial.tell("full disk under the spool", asked, needed, said, afterwards)
        trial.findings.must(set(statuses) == {"507"}, f"full disk: uploads were answered {dict(statuses)}")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A folder on a disk of its own that is small; None where that is not permitted."""
    place = folder / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def upload(port: int, body: bytes) -> str:
    """Sends `body`; the status. An answer may come before all of it was taken."""
    with socket.create_connection((HOST, port), 30) as connection:
        head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        with suppress(ConnectionResetError, BrokenPipeError):  # the answer tells
            connection.sendall(head.encode() + body)
        try:
            return connection.recv(65536)[9:12].decode() or "closed"
        except ConnectionResetError:
            return "reset"


def broken_access_log(trial: Trial) -> None:
    """Whoever read the access log from a pipe has ended."""
    reading, writing = os.pipe()
    with trial.serve("--access-log", "-", output=writing) as server:
        os.close(writing)
        os.close(reading)
        asked = trial.ask(Closing(server.port))
        said = server.said("access log")
        trial.tell("broken pipe to the access log", asked, "its lines are lost", said, is_well(server))


def full_access_log(trial: Trial) -> None:
    """The disk that the access log is on is full."""
    with trial.serve("--access-log", "/dev/full") as server:
        asked = trial.ask(Closing(server.port))
        said = server.said("access log")
        trial.tell("full disk under the access log", asked, "its lines are lost", said, is_well(server))


def full_error_log(trial: Trial) -> None:
    """The disk that the error log is on is full, and the application raises and complains all the while."""
    with trial.serve("--error-log", "/dev/full") as server, raising(server.port) as raised:
        asked = trial.ask(Closing(server.port), "/complain")
        said = server.said("error log")
        told_of_raised(trial, "full disk under the error log", server, asked, said, raised)


def broken_error_log(trial: Trial) -> None:
    """Whoever read standard error from a pipe has ended, and the application raises all the while."""
    with trial.serve() as server:
        server.break_log()
        with raising(server.port) as raised:
            asked = trial.ask(Closing(server.port))
            told_of_raised(trial, "broken pipe to standard error", server, asked, None, raised)


@contextmanager
def raising(port: int) -> Iterator[list[str]]:
    """A client that asks for an exception all the while; gives what it was answered."""
    raised: list[str] = []
    ended = threading.Event()

    def ask_for_trouble() -> None:
        while not ended.is_set():
            raised.extend(Closing(port).ask("/raise"))

    asking = threading.Thread(target=ask_for_trouble)
    asking.start()
    try:
        yield raised
    finally:
        ended.set()
        asking.join()


def told_of_raised(
    trial: Trial,
    case: str,
    server: Server,
    asked: tuple[list[float], list[str]],
    said: int | None,
    raised: list[str],
) -> None:
    """A row of a case in which tracebacks are lost."""
    trial.tell(case, asked, f"{len(raised)} tracebacks are lost", said, is_well(server))
    wrong = [failure for failure in raised if "500" not in failure]
    trial.findings.must(bool(raised) and not wrong, f"{case}: an exception was answered {wrong[:3]}")


CASES = (
    no_descriptors,
    full_disk,
    broken_access_log,
    full_access_log,
    broken_error_log,
    full_error_log,
)


def is_well(server: Server) -> bool:
    """Whether new connections are served again, and the process is the same."""
    wait_until(lambda: not Closing(server.port).ask("/"), "an answer afterwards")
    return server.process.poll() is None


if __name__ == "__main__":
    sys.exit(main())
