"""The load: wrk on its own core, 64 connections, one thread."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass

from harness.cases import Case
from harness.places import HOST, LOAD_CORE, WORK

CONNECTIONS = 64
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
    """What wrk saw. Latencies in microseconds; wrk counts every status from 400 on as wrong."""

    requests: int
    microseconds: int
    wrong_status: int
    socket_errors: int
    p50: float
    p99: float
    max: float
    wall: float
    """Seconds that wrk ran, start and end included."""


def run_load(case: Case, port: int, seconds: int) -> Load:
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
    command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s"]
    command += ["--latency", "--timeout", "5s", "-s", str(script), f"http://{HOST}:{port}{case.path}"]
    started = time.monotonic()
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30)
    wall = time.monotonic() - started
    if not answer.exists():
        raise RuntimeError(f"wrk: {(run.stderr or run.stdout).strip()}")
    return Load(**json.loads(answer.read_text()), wall=wall)
