"""One measurement: start a server, see that it answers rightly, load it, read what that cost."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field

from harness import noise
from harness.behind import Behind
from harness.cases import CASES, Case
from harness.load import Load, run_load
from harness.places import HOST, LOAD_CORE, SERVER_CORE
from harness.process import NotReady, Server, context_switches_of, cpu_of, descendants, memory_of, threads_of

WARM_UP = 1  # seconds
SOCKET_ERRORS_LIMIT = 0.001  # of the requests: some servers close a few connections when wrk ends


@dataclass
class Measurement:
    """One server in one round of one case. With problems it is reported, but not ranked."""

    case: str
    server: str
    round: int
    problems: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


def measure(name: str, server: str, turn: int, seconds: int) -> Measurement:
    case = CASES[name]
    result = Measurement(name, server, turn)
    try:
        with ExitStack() as stack:
            behind = stack.enter_context(Behind()) if case.behind else None
            running = stack.enter_context(Server(server, case.app_of(server), case.pinned))
            result.problems = CHECKS[case.load](running.port, case)
            if not result.problems:
                result.figures, result.problems = under_load(running, case, seconds, behind)
    except (NotReady, OSError, RuntimeError) as error:
        result.problems = [str(error)]
    return result


def wrong_answers(port: int, case: Case) -> list[str]:
    """What is wrong with two requests on one connection."""
    connection = (
        http.client.HTTPSConnection(HOST, port, timeout=10, context=trusting())
        if case.secured
        else http.client.HTTPConnection(HOST, port, timeout=10)
    )
    closing = case.headers.get("Connection") == "close"
    problems = []
    try:
        for turn in ("first", "second"):
            connection.request(case.method, case.path, body=case.body or None, headers=case.headers)
            used = connection.sock
            response = connection.getresponse()
            body = response.read()
            if response.status != case.status:
                problems.append(f"{turn} answer has status {response.status}")
            elif case.answer is not None and body != case.answer:
                problems.append(f"{turn} answer has a wrong body of {len(body)} bytes")
            if turn == "first" and not closing and connection.sock is not used:
                problems.append("closes the connection after an answer")
    except (OSError, http.client.HTTPException) as error:
        problems.append(f"{type(error).__name__}: {error}")
    finally:
        connection.close()
    return problems


def wrong_over_http2(port: int, case: Case) -> list[str]:
    """What is wrong with a request of curl by HTTP/2."""
    url = f"{'https' if case.secured else 'http'}://{HOST}:{port}{case.path}"
    spoken = ["--insecure", "--http2"] if case.secured else ["--http2-prior-knowledge"]
    headers = [word for name, value in case.headers.items() for word in ("--header", f"{name}: {value}")]
    telling = ["--write-out", "|%{http_code} %{http_version}"]
    command = ["curl", "--silent", "--max-time", "10", *spoken, *headers, *telling, url]
    said = subprocess.run(command, capture_output=True).stdout
    right = b"%s|%d 2" % (case.answer or b"", case.status)
    return [] if said == right else [f"curl was answered {said[:80]!r}"]


def wrong_handshake(port: int, case: Case) -> list[str]:
    """What is wrong with a handshake: all are to speak the same version, with the same kind of key."""
    with socket.create_connection((HOST, port), 10) as bare, trusting().wrap_socket(bare) as secured:
        version = secured.version()
    return [] if version == "TLSv1.3" else [f"speaks {version}"]


def trusting() -> ssl.SSLContext:
    """A client that takes our certificate, as the load does."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


CHECKS = {
    "wrk": wrong_answers,
    "h2load": wrong_over_http2,
    "handshakes": wrong_handshake,
    "hybrid_handshakes": wrong_handshake,
}


def under_load(
    server: Server, case: Case, seconds: int, behind: Behind | None
) -> tuple[dict[str, float], list[str]]:
    run_load(case, server.port, WARM_UP)
    pids = server.pids()
    cores, cpu, switches, own = noise.cores(), cpu_of(pids), context_switches_of(pids), beside(behind)
    load = run_load(case, server.port, seconds)
    pids = sorted({*pids, *server.pids()})
    spent, load_spent, cores_after = cpu_of(pids) - cpu, beside(behind) - own, noise.cores()
    if case.pinned:
        foreign = max(
            noise.foreign(cores, cores_after, SERVER_CORE, spent.total, load.wall),
            noise.foreign(cores, cores_after, LOAD_CORE, load_spent, load.wall),
        )
    else:
        foreign = noise.foreign_anywhere(cores, cores_after, spent.total + load_spent, load.wall)
    memory = memory_of(pids)
    requests = max(load.requests, 1)
    figures = {
        "requests": load.requests,
        "requests_per_second": load.requests / (load.microseconds / 1e6),
        "cpu_us": spent.total / requests * 1e6,
        "user_us": spent.user / requests * 1e6,
        "system_us": spent.system / requests * 1e6,
        "rss_mib": memory.peak,
        "pss_mib": memory.pss,
        "threads": len(threads_of(pids)),
        "context_switches": (context_switches_of(pids) - switches) / requests,
        "server_percent": spent.total / load.wall * 100,
        "load_percent": load_spent / load.wall * 100,
        "foreign_percent": foreign,
        "steal_percent": noise.stolen(cores, cores_after, load.wall),
    }
    for name, latency in (("p50_ms", load.p50), ("p99_ms", load.p99), ("max_ms", load.max)):
        if latency is not None:
            figures[name] = latency / 1e3
    return figures, problems_of(load, case)


def problems_of(load: Load, case: Case) -> list[str]:
    expected_as_wrong = load.requests if case.status >= 400 else 0
    problems = []
    if load.requests == 0:
        problems.append("no request was answered under load")
    if load.wrong_status != expected_as_wrong:
        problems.append(f"{abs(load.wrong_status - expected_as_wrong)} answers without status {case.status}")
    if load.socket_errors > load.requests * SOCKET_ERRORS_LIMIT:
        problems.append(f"{load.socket_errors} socket errors under load")
    return problems


def beside(behind: Behind | None) -> float:
    """Seconds of what runs beside the server: the load, and the server behind."""
    return children_cpu() + (cpu_of(descendants(behind.process.pid)).total if behind else 0)


def children_cpu() -> float:
    """Seconds of our children that have ended; between two readings that is wrk alone."""
    times = os.times()
    return times.children_user + times.children_system
