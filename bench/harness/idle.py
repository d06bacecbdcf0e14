"""The memory of a server that has nothing to do, above a bare interpreter's, and of idle connections."""

from __future__ import annotations

import resource
import socket
import subprocess
import time

from harness.cases import CASES
from harness.measure import Measurement
from harness.places import HOST, PYTHON
from harness.process import Memory, NotReady, Server, memory_of

IDLE_CONNECTIONS = 1_000
SETTLE = 0.5  # seconds until a server's start, or its last answer, is over
REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"


def measure_idle(name: str, server: str, turn: int) -> Measurement:
    result = Measurement(name, server, turn)
    try:
        bare = bare_interpreter()
        with Server(server, CASES[name].app_of(server)) as running:
            connections = [answered_connection(running.port)]
            connections.pop().close()
            time.sleep(SETTLE)
            idle = memory_of(running.pids())
            result.figures = {
                "rss_above_mib": idle.rss - bare.rss,
                "pss_above_mib": idle.pss - bare.pss,
                "rss_mib": idle.rss,
                "pss_mib": idle.pss,
                "processes": len(running.pids()),
            }
            grown = memory_with_idle_connections(running)
            result.figures["bytes_a_connection"] = (grown.pss - idle.pss) * 1024 * 1024 / IDLE_CONNECTIONS
    except (NotReady, OSError) as error:
        result.problems = [str(error)]
    return result


def bare_interpreter() -> Memory:
    process = subprocess.Popen([str(PYTHON), "-c", "import time; time.sleep(60)"])
    try:
        time.sleep(SETTLE)
        return memory_of([process.pid])
    finally:
        process.kill()
        process.wait()


def memory_with_idle_connections(server: Server) -> Memory:
    """With 1,000 connections that each had an answer and were kept alive."""
    allow_open_files(IDLE_CONNECTIONS + 200)
    connections: list[socket.socket] = []
    try:
        for _ in range(IDLE_CONNECTIONS):
            connections.append(answered_connection(server.port))
        time.sleep(SETTLE)
        return memory_of(server.pids())
    except OSError as error:
        raise OSError(f"only {len(connections)} idle connections: {error}") from error
    finally:
        for connection in connections:
            connection.close()


def answered_connection(port: int) -> socket.socket:
    connection = socket.create_connection((HOST, port), timeout=5)
    connection.sendall(REQUEST)
    received = b""
    while not received.endswith(b"Hello, World!"):
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionError("the connection was closed before the whole answer")
        received += piece
    return connection


def allow_open_files(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))
