"""Reaching a running server over its control socket: its status, and a reload.

The server may be of another version, before an upgrade or after it: what it does not tell is left out.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

PATIENCE = 10  # in seconds, for what a supervisor only has to look up


def ask(path: str, what: str) -> dict[str, Any]:
    """Ask the server whose control socket is at ``path``, and wait for its answer.

    Raises:
        OSError: No server answers there.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        if what == "status":
            # A reload, or an upgrade, takes as long as its workers need to become ready.
            connection.settimeout(PATIENCE)
        try:
            connection.connect(path)
            connection.sendall(json.dumps({"ask": what}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                line = answers.readline()
        except TimeoutError:
            raise OSError(f"the server at {path} did not answer within {PATIENCE}s") from None
        except OSError as error:
            raise OSError(f"no server answers at {path}: {error.strerror}; check --control") from None
    if not line:
        raise OSError(f"the server at {path} ended before it answered")
    return understood(line, path)


def named_in(config: str | None) -> str | None:
    """Return the control socket that a configuration names, even if the file cannot be read as TOML."""
    if named := os.environ.get("ONIONSKIN_CONTROL"):
        return named
    files = [config or os.environ.get("ONIONSKIN_CONFIG"), "onion.toml", "pyproject.toml"]
    file = next((Path(name) for name in files if name and Path(name).is_file()), None)
    if file is None:
        return None
    text = file.read_text(errors="replace")
    if file.name == "pyproject.toml":
        text = text.partition("[tool.onionskin]")[2]
    # The server's options are above the first table.
    above = re.split(r"^\s*\[", text, maxsplit=1, flags=re.MULTILINE)[0]
    found = re.search(r"""^\s*control\s*=\s*(?:"([^"\n]+)"|'([^'\n]+)')""", above, re.MULTILINE)
    if found is None:
        return None
    name = found[1] or found[2]
    return re.sub(r"(?<!\$)\$\{(\w+)(?::-(.*?))?\}", lambda it: os.environ.get(it[1]) or it[2] or "", name)


def understood(line: bytes, path: str) -> dict[str, Any]:
    """An answer, if it is one of ours: perhaps ``path`` is where the site is served."""
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise OSError(f"what answers at {path} is no control socket of onionskin; check --control")
    return answer


def described(status: dict[str, Any]) -> str:
    """A status as people read it."""
    places = ", ".join(status.get("places", ()))
    told = {name: status.get(name, "-") for name in ("version", "pid", "state", "generation")}
    missing = lacking(status)
    lines = [
        f"onionskin {told['version']}, pid {told['pid']}: {told['state']} on {places}",
        f"generation {told['generation']}{reloaded(status.get('last_reload'))}",
        *([missing] if missing else []),
        "",
        "     pid  generation  state        age    requests    open    calls  queue    memory",
    ]
    lines += map(worker_described, status.get("workers", ()))
    for server in status.get("fork_servers", ()):
        told = {name: server.get(name, "-") for name in ("pid", "generation")}
        lines.append(
            f"{told['pid']:>8}  {told['generation']:>10}  {'forks':8}  {age(server.get('age')):>6}"
            f"{size(server.get('memory')):>46}"
        )
    limited = applications_described(status.get("workers", []))
    lines += ["", *limited] if limited else []
    amiss = what_is_amiss(status.get("workers", []))
    return "\n".join([*lines, *([""] if amiss else []), *amiss])


def lacking(status: dict[str, Any]) -> str:
    """Why there are fewer workers than there are to be; nothing if there are not."""
    amiss = status.get("amiss")
    if amiss is None:
        return ""
    serving = sum(worker.get("stage") == "serving" for worker in status.get("workers", ()))
    when = age(max(0, int(time.time()) - amiss.get("at", 0)))
    return f"{serving} of {status.get('wanted', '-')} workers serve: {amiss.get('reason')}, {when} ago"


def applications_described(workers: list[dict[str, Any]]) -> list[str]:
    """A line for each application that has threads of its own, over all workers."""
    sums: dict[str, dict[str, int]] = {}
    for load in (load for worker in workers for load in worker.get("applications", ())):
        total = sums.setdefault(
            load["name"], dict.fromkeys(("calls", "threads", "waiting", "turned_away"), 0)
        )
        for name in ("calls", "threads", "waiting"):
            total[name] += load.get(name, 0)
        total["turned_away"] += load.get("refused", 0) + load.get("expired", 0)
    return [
        f"application {name}: {total['calls']}/{total['threads']} calls, {total['waiting']} waiting, "
        f"{total['turned_away']} turned away"
        for name, total in sums.items()
    ]


def what_is_amiss(workers: list[dict[str, Any]]) -> list[str]:
    """What did not go as it should since these workers began, with the option that has to do with it."""
    told = (
        ("shed", "idle connections closed to make room (connections)"),
        ("accept_failures", "times no connection could be accepted: no descriptors or memory"),
        ("turned_away", "requests turned away by the queue (queue, queue_timeout)"),
    )
    sums = ((sum(worker.get(name, 0) for worker in workers), what) for name, what in told)
    return [f"{number:>8}  {what}" for number, what in sums if number]


def worker_described(worker: dict[str, Any]) -> str:
    """The line of a worker."""

    def told(name: str) -> Any:
        return worker.get(name, "-")

    calls = f"{told('calls')}/{told('threads')}"
    return (
        f"{told('pid'):>8}  {told('generation'):>10}  {told('stage'):8}  {age(worker.get('age')):>6}  "
        f"{told('requests'):>10}  {told('connections'):>6}  {calls:>7}  {told('waiting'):>5}  "
        f"{size(worker.get('memory')):>8}"
    )


def size(memory: int | None) -> str:
    """So much memory; where it is not known, a dash."""
    return "-" if memory is None else f"{memory >> 20} MiB"


def reloaded(last: dict[str, Any] | None) -> str:
    """When and how the last reload went."""
    if last is None:
        return ", never reloaded"
    when = f"{age(max(0, int(time.time()) - last['at']))} ago"
    failed = last.get("failed")
    return f", reloaded {when}" if failed is None else f", a reload failed {when}: {failed}"


def age(seconds: int | None) -> str:
    """A length of time in its largest unit; where it is not known, a dash."""
    if seconds is None:
        return "-"
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
