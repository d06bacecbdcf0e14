"""Reaching a running server over its control socket: its status, and a reload."""

from __future__ import annotations

import json
import socket
import time
from typing import Any


def ask(path: str, what: str) -> dict[str, Any]:
    """Ask the server whose control socket is at ``path``, and wait for its answer.

    Raises:
        OSError: No server answers there.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
            connection.sendall(json.dumps({"ask": what}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
        except OSError as error:
            raise OSError(f"no server answers at {path}: {error.strerror}; check --control") from None
    if not line:
        raise OSError(f"the server at {path} ended before it answered")
    answer: dict[str, Any] = json.loads(line)
    return answer


def described(status: dict[str, Any]) -> str:
    """A status as people read it."""
    places = ", ".join(status["places"])
    lines = [
        f"onionskin {status['version']}, pid {status['pid']}: {status['state']} on {places}",
        f"generation {status['generation']}{reloaded(status['last_reload'])}",
        "",
        "     pid  generation  state        age    requests    open    calls  queue    memory",
    ]
    for worker in status["workers"]:
        calls = f"{worker['calls']}/{worker['threads']}"
        lines.append(
            f"{worker['pid']:>8}  {worker['generation']:>10}  {worker['stage']:8}  {age(worker['age']):>6}  "
            f"{worker['requests']:>10}  {worker['connections']:>6}  "
            f"{calls:>7}  {worker['waiting']:>5}  {size(worker['memory']):>8}"
        )
    # A server of an older version knows none.
    for server in status.get("fork_servers", []):
        lines.append(
            f"{server['pid']:>8}  {server['generation']:>10}  {'forks':8}  {age(server['age']):>6}"
            f"{size(server['memory']):>46}"
        )
    return "\n".join(lines)


def size(memory: int | None) -> str:
    """So much memory; where it is not known, a dash."""
    return "-" if memory is None else f"{memory >> 20} MiB"


def reloaded(last: dict[str, Any] | None) -> str:
    """When and how the last reload went."""
    if last is None:
        return ", never reloaded"
    when = f"{age(max(0, int(time.time()) - last['at']))} ago"
    return f", reloaded {when}" if last["failed"] is None else f", a reload failed {when}: {last['failed']}"


def age(seconds: int) -> str:
    """A length of time in its largest unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
