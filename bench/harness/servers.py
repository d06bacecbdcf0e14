"""The servers, and the command that starts each of them in its best single-process setting."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from harness.places import BIN, FLOOR, HOST, LOGS, PYTHON, STATIC, VENV, WORK

Command = list[str]
Starter = Callable[[str, int], Command]


def onionskin(threads: int) -> Starter:
    return lambda app, port: [
        *(f"{BIN}/onionskin", "serve", app),
        *("--bind", f"{HOST}:{port}", "--threads", str(threads)),
    ]


def granian(blocking_threads: int) -> Starter:
    return lambda app, port: [
        *(f"{BIN}/granian", "--interface", "wsgi", "--host", HOST, "--port", str(port)),
        *("--workers", "1", "--runtime-threads", "1", "--blocking-threads", str(blocking_threads)),
        *("--log-level", "warning", app),
    ]


def granian_static(app: str, port: int) -> Command:
    """Its own way with files, ahead of Python."""
    return [*granian(blocking_threads=1)(app, port), "--static-path-mount", str(STATIC)]


def gunicorn(threads: int) -> Starter:
    return lambda app, port: [
        *(f"{BIN}/gunicorn", "--bind", f"{HOST}:{port}", "--workers", "1"),
        *("--worker-class", "gthread", "--threads", str(threads), "--keep-alive", "60"),
        *("--backlog", "1024", "--log-level", "error", "--no-control-socket", app),
    ]


def uwsgi(*threads: str) -> Starter:
    return lambda app, port: [
        *(f"{BIN}/uwsgi", "--http11-socket", f"{HOST}:{port}", "--module", app),
        *("--master", "--die-on-term", "--disable-logging", "--listen", "1024", "--processes", "1"),
        *("--home", str(VENV), *threads),
    ]


def started(name: str, *settings: str) -> Starter:
    """A server that is started from Python."""
    return lambda app, port: [str(PYTHON), "start.py", name, app, str(port), *settings]


def nginx(app: str, port: int) -> Command:
    places = {"@PORT@": str(port), "@WORK@": str(WORK), "@BEHIND@": os.environ.get("BEHIND", "9")}
    configuration = (FLOOR / "nginx.conf").read_text()
    for place, filled in places.items():
        configuration = configuration.replace(place, filled)
    path = WORK / "nginx.conf"
    path.write_text(configuration)
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    return [program, "-c", str(path), "-p", str(WORK), "-e", f"{LOGS}/nginx-errors.log"]


SERVERS: dict[str, Starter] = {
    "floor-c": lambda app, port: [f"{WORK}/floor", str(port)],
    "nginx": nginx,
    "onionskin": onionskin(threads=1),
    "onionskin-t64": onionskin(threads=64),
    "granian": granian(blocking_threads=1),
    "granian-bt64": granian(blocking_threads=64),
    "granian-static": granian_static,
    "fastwsgi": started("fastwsgi"),
    "fastwsgi-nd": started("fastwsgi", "nodelay"),
    "fastpysgi": started("fastpysgi"),
    "fastpysgi-nd": started("fastpysgi", "nodelay"),
    "bjoern": started("bjoern"),
    "uwsgi": uwsgi(),
    "uwsgi-t64": uwsgi("--threads", "64"),
    "gunicorn-gthread": gunicorn(threads=1),
    "gunicorn-gthread64": gunicorn(threads=64),
    "waitress": started("waitress", "1"),
    "waitress64": started("waitress", "64"),
    "cheroot": started("cheroot", "1"),
}

FLOORS = ("floor-c", "nginx")
C_SERVERS = ("bjoern", "fastpysgi", "fastpysgi-nd", "fastwsgi", "fastwsgi-nd")
# uWSGI's --http11-socket gives a connection a thread, so that 64 connections need 64 threads in every case;
# with one thread it serves one connection and leaves the others waiting.
FAST = ("onionskin", "granian", "fastwsgi", "fastpysgi", "bjoern", "uwsgi-t64")
FAST_NODELAY = (
    "onionskin",
    "granian",
    "fastwsgi",
    "fastwsgi-nd",
    "fastpysgi",
    "fastpysgi-nd",
    "bjoern",
    "uwsgi-t64",
)
SLOW = ("gunicorn-gthread", "waitress", "cheroot")
THREADS64 = ("onionskin-t64", "granian-bt64", "uwsgi-t64", "gunicorn-gthread64", "waitress64")
