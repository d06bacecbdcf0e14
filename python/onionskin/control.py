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
        memory = "-" if worker["memory"] is None else f"{worker['memory'] >> 20} MiB"
        calls = f"{worker['calls']}/{worker['threads']}"
        lines.append(
            f"{worker['pid']:>8}  {worker['generation']:>10}  {worker['stage']:8}  {age(worker['age']):>6}  "
            f"{worker['requests']:>10}  {worker['connections']:>6}  "
            f"{calls:>7}  {worker['waiting']:>5}  {memory:>8}"
        )
    return "\n".join(lines)


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
