"""The load: wrk, h2load or handshakes of openssl, on a core of its own unless all are shared, 64 at once."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness.cases import Case
from harness.places import HOST, LOAD_CORE, PROJECT, WORK

CONNECTIONS = 64
H2_CONNECTIONS, H2_STREAMS = 8, 8
HANDSHAKING = 4
"""Processes of openssl, each of which makes one handshake after the other."""
SID = ("sh", str(PROJECT / "tools" / "sid.sh"))
SCRIPT = """
wrk.method = "%(method)s"
wrk.body = %(body)s
%(headers)s
done = function(summary, latency, requests)
  local errors = summary.errors
  local socket_errors = errors.connect + errors.read + errors.write + errors.timeout
  local file = io.open("%(answer)s", "w")
  file:write(string.format('{"requests": %%d, "microseconds": %%d, ', summary.requests, summary.duration))
  file:write(string.format('"wrong_status": %%d, "socket_errors": %%d, ', errors.status, socket_errors))
  file:write(string.format('"p50": %%.1f, "p99": %%.1f, ', latency:percentile(50), latency:percentile(99)))
  file:write(string.format('"max": %%.1f}', latency.max))
  file:close()
end
"""


@dataclass(frozen=True)
class Load:
    """What was seen. Latencies are in microseconds. wrk counts every status from 400 on as wrong."""

    requests: int
    microseconds: int
    wrong_status: int
    socket_errors: int
    p50: float | None
    """None, as the others, where latencies are not told."""
    p99: float | None
    max: float | None
    wall: float
    """Seconds that it ran, start and end included."""


def run_load(case: Case, port: int, seconds: int) -> Load:
    scheme = "https" if case.secured else "http"
    return LOADS[case.load](case, f"{scheme}://{HOST}:{port}{case.path}", seconds)


def wrk(case: Case, url: str, seconds: int) -> Load:
    answer = WORK / "wrk.json"
    answer.unlink(missing_ok=True)
    script = WORK / "wrk.lua"
    script.write_text(
        SCRIPT
        % {
            "method": case.method,
            "body": f'"{case.body.decode()}"' if case.body else "nil",
            "headers": "\n".join(
                f'wrk.headers["{name}"] = "{value}"' for name, value in case.headers.items()
            ),
            "answer": answer,
        }
    )
    threads = "-t1" if case.pinned else "-t2"
    command = ["wrk", threads, f"-c{CONNECTIONS}", f"-d{seconds}s"]
    command += ["--latency", "--timeout", "5s", "-s", str(script), url]
    said, wall = run(command, case, seconds)
    if not answer.exists():
        raise RuntimeError(f"wrk: {said}")
    return Load(**json.loads(answer.read_text()), wall=wall)


def h2load(case: Case, url: str, seconds: int) -> Load:
    """HTTP/2: as many requests at once as by wrk, on fewer connections."""
    log = WORK / "h2load.log"
    log.unlink(missing_ok=True)
    command = ["h2load", "-t1", f"-c{H2_CONNECTIONS}", f"-m{H2_STREAMS}", "-D", str(seconds)]
    command += [f"--log-file={log}", *(f"--header={name}: {value}" for name, value in case.headers.items())]
    said, wall = run([*command, url], case, seconds)
    counted = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", said)
    statuses = re.search(r"(\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said)
    if not counted or not statuses or not log.exists():
        raise RuntimeError(f"h2load: {said}")
    # When each request began, its status, and how long it took.
    taken = sorted(int(line.split()[2]) for line in log.read_text().splitlines())
    answered = int(statuses[1])
    return Load(
        requests=answered,
        microseconds=seconds * 1_000_000,
        wrong_status=sum(int(statuses[at]) for at in (2, 3, 4)),
        socket_errors=int(counted[2]),
        p50=taken[len(taken) // 2] if taken else 0,
        p99=taken[len(taken) * 99 // 100] if taken else 0,
        max=taken[-1] if taken else 0,
        wall=wall,
    )


def handshakes(case: Case, url: str, seconds: int, *within: str) -> Load:
    """TLS handshakes in full, without a request: wrk resumes its sessions, and h2load never connects anew."""
    place = url.split("/")[2]
    command = [*within, "openssl", "s_time", "-connect", place, "-new", "-time", str(seconds)]
    many = f"for each in {'. ' * HANDSHAKING}; do {' '.join(command)} 2>&1 & done; wait"
    said, wall = run(["sh", "-c", many], case, seconds)
    counted = re.findall(r"^(\d+) connections in \d+ real seconds", said, re.MULTILINE)
    if len(counted) != HANDSHAKING:
        raise RuntimeError(f"openssl: {said.splitlines()[-1:]}")
    # It ends with a second of the clock: what it was told is not how long it took.
    return Load(sum(map(int, counted)), int(wall * 1e6), 0, 0, None, None, None, wall)


def hybrid_handshakes(case: Case, url: str, seconds: int) -> Load:
    """The same with X25519MLKEM768, offered by openssl from 3.5 on: the machine's or Debian sid's."""
    version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout
    numbers = tuple(map(int, version.split()[1].split(".")[:2]))
    return handshakes(case, url, seconds, *([] if numbers >= (3, 5) else SID))


def run(command: list[str], case: Case, seconds: int) -> tuple[str, float]:
    """What a command says, and how long it took."""
    pinned = ["taskset", "-c", str(LOAD_CORE)] if case.pinned else []
    started = time.monotonic()
    done = subprocess.run([*pinned, *command], capture_output=True, text=True, timeout=seconds + 30)
    return (done.stdout + done.stderr).strip(), time.monotonic() - started


LOADS: dict[str, Callable[[Case, str, int], Load]] = {
    "wrk": wrk,
    "h2load": h2load,
    "handshakes": handshakes,
    "hybrid_handshakes": hybrid_handshakes,
}
