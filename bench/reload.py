"""Reloads, upgrades and deaths of workers under load, and what clients notice of them.

    .venv/bin/python bench/reload.py            # 100 reloads; a table for docs/reliability.md
    .venv/bin/python bench/reload.py --reloads 10
    .venv/bin/python bench/reload.py --tls      # the same by HTTPS

The clients are those of `clients.py`. What is in flight on a worker's connections when it is killed is lost
with it; of every request that failed then it is found out whether it was among these.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from clients import KINDS, Failure, Httpx, KeepAlive, Load
from trial import HOST, Findings, Server, options_of, status_of, wait_until

APPLICATION = """
import time
def application(environ, start_response):
    status = {ready!r} if environ["PATH_INFO"] == "/ready" else "200 OK"
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.05)
    start_response(status, [("Content-Length", "5")])
    return [b"hello"]
"""
OPTIONS = ("--workers", "2", "--ready-path", "/ready")
LIBRARY = (Httpx,) * 4
BROKEN = {
    "raises at its import": {"more": "raise ValueError"},
    "hangs at its import": {"more": "time.sleep(60)"},
    "answers 500 at the readiness path": {"ready": "500 Broken"},
}


@dataclass(frozen=True)
class Death:
    """A worker that was killed: the clients' ports that it served, and from when to when it took."""

    ports: frozenset[int]
    began: float
    ended: float

    def explains(self, failure: Failure) -> bool:
        """Whether the request was in flight on a connection of this worker."""
        return failure.port in self.ports and failure.began <= self.ended and failure.ended >= self.began


def main() -> int:
    """Runs every case, prints the table, and tells by the status whether a request failed that must not."""
    parser = options_of(__doc__)
    parser.add_argument("--reloads", type=int, default=100)
    parser.add_argument("--upgrades", type=int, default=10)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument(
        "--boot-timeout", type=int, default=10, help="seconds, which the import that hangs takes"
    )
    parser.add_argument("--tls", action="store_true", help="by HTTPS, where sessions must be resumed")
    options = parser.parse_args()
    findings = Findings("Case", *(f"Requests: {kind}" for kind in KINDS), "Failed", "Not in flight")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        boot = ("--boot-timeout", f"{options.boot_timeout}s")
        certificate = certified(folder) if options.tls else None
        with Server(options.python, folder, "reloaded.py", *OPTIONS, *boot, *places(certificate)) as server:

            def under_load(*more: type[KeepAlive]) -> Load:
                return Load(server.port, more, certificate)

            for case, more in {"": (), ", httpx among the clients": LIBRARY}.items():
                with under_load(*more) as load:
                    for _ in range(options.reloads):
                        reload(server, findings, "reloaded in")
                told(findings, f"{options.reloads} reloads{case}", load)
            with under_load(*LIBRARY) as load:
                for _ in range(options.upgrades):
                    upgrade(server)
            told(findings, f"{options.upgrades} upgrades to a new supervisor", load)
            for fault, change in BROKEN.items():
                write(folder, **change)
                with under_load() as load:
                    time.sleep(0.5)
                    reload(server, findings, "reload failed")
                    time.sleep(0.5)
                told(findings, f"a reload into an application that {fault}", load)
            write(folder)
            with under_load() as load:
                deaths = [kill(server) for _ in range(options.kills)]
            told(findings, f"{options.kills} times `kill -9` of a worker", load, deaths)
        with Server(options.python, folder, "reloaded.py", *OPTIONS, *boot, "--preload") as server:
            with Load(server.port) as load:
                for _ in range(options.reloads):
                    reload(server, findings, "reloaded in")
            told(findings, f"{options.reloads} reloads with `--preload`", load)
    return findings.end()


def certified(folder: Path) -> Path:
    """A certificate for this machine, with its key beside it."""
    certificate = folder / "certificate.pem"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    name = ("-subj", "/CN=localhost", "-addext", f"subjectAltName=IP:{HOST}")
    files = ("-keyout", str(certificate.with_suffix(".key")), "-out", str(certificate))
    subprocess.run(["openssl", "req", "-x509", *kind, *name, *files], check=True, capture_output=True)
    return certificate


def places(certificate: Path | None) -> tuple[str, ...]:
    """The options for where, and how, is listened."""
    if certificate is None:
        return ("--bind", f"{HOST}:0")
    key = certificate.with_suffix(".key")
    return ("--bind", f"https://{HOST}:0", "--tls-certificate", str(certificate), "--tls-key", str(key))


def write(folder: Path, more: str = "", ready: str = "200 OK") -> None:
    """Puts the application there, at once."""
    new = folder / "new"
    new.write_text(APPLICATION.format(ready=ready) + more)
    new.replace(folder / "reloaded.py")


def reload(server: Server, findings: Findings, expected: str) -> None:
    """Reloads, and sees that it goes as it must."""
    server.signal(signal.SIGHUP)
    line = server.wait_for("reloaded in|reload failed", 60)
    findings.must(expected in line, line)


def upgrade(server: Server) -> None:
    """Has another process take over: supervisor, workers and all."""
    server.signal(signal.SIGUSR2)
    line = server.wait_for(r"upgraded: process \d+ serves", 60)
    server.succeeded_by(int(re.findall(r"process (\d+) serves", line)[0]))


def kill(server: Server) -> Death:
    """Kills the older of two workers that serve. It is stopped first, so that its connections can be told."""
    time.sleep(1)
    wait_until(lambda: len(server.workers()) == 2, "two workers")
    worker = server.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    wait_until(lambda: status_of(worker)["State"].startswith("T"), "a worker that has stopped")
    began = time.monotonic()
    ports = ports_served(worker, server.port)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: has_closed_all(worker), "a worker that is gone")
    return Death(ports, began, time.monotonic())


def has_closed_all(pid: int) -> bool:
    """Whether a process is gone, or waits to be asked for its status without any other thread."""
    status = status_of(pid)
    return status.get("State", "Z").startswith("Z") and status.get("Threads", "1") == "1"


def ports_served(worker: int, port: int) -> frozenset[int]:
    """The clients' ports of the connections to `port` that the worker has open."""
    links = [str(path.readlink()) for path in Path(f"/proc/{worker}/fd").iterdir()]
    own = {found[1] for link in links if (found := re.fullmatch(r"socket:\[(\d+)\]", link))}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    places = [(row[1].split(":")[1], row[2].split(":")[1]) for row in rows if row[9] in own]
    return frozenset(int(remote, 16) for local, remote in places if int(local, 16) == port)


def told(findings: Findings, case: str, load: Load, deaths: list[Death] | None = None) -> None:
    """A row, and what is wrong with it."""
    unexplained = [
        failure for failure in load.failed if not any(death.explains(failure) for death in deaths or ())
    ]
    findings.row(case, *(load.asked[kind] for kind in KINDS), len(load.failed), len(unexplained))
    for what, number in Counter(failure.what for failure in unexplained).items():
        findings.must(False, f"{case}: {number} × {what}")


if __name__ == "__main__":
    sys.exit(main())
