"""The servers, and the command that starts each of them in its best single-process setting."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

from harness.places import BIN, FLOOR, HOST, LOGS, PYTHON, STATIC, VENV, WORK

Command = list[str]
Starter = Callable[[str, int], Command]


def onionskin(threads: int, *more: str, scheme: str = "http") -> Starter:
    return lambda app, port: [
        *(f"{BIN}/onionskin", "serve", app),
        *("--bind", f"{scheme}://{HOST}:{port}", "--threads", str(threads), *more),
    ]


def granian(blocking_threads: int, *more: str, workers: int = 1) -> Starter:
    return lambda app, port: [
        *(f"{BIN}/granian", "--interface", "wsgi", "--host", HOST, "--port", str(port)),
        *("--workers", str(workers), "--runtime-threads", "1", "--blocking-threads", str(blocking_threads)),
        *("--log-level", "warning", *more, app),
    ]


def hypercorn(*more: str) -> Starter:
    """In the process itself: with a worker there would be another process that does nothing."""
    return lambda app, port: [
        *(f"{BIN}/hypercorn", "--bind", f"{HOST}:{port}", "--workers", "0", "--worker-class", "uvloop"),
        *("--backlog", "1024", *more, f"wsgi:{app}"),
    ]


def granian_static(app: str, port: int) -> Command:
    """Its own way with files, ahead of Python."""
    return [*granian(blocking_threads=1)(app, port), "--static-path-mount", str(STATIC)]


def gunicorn(threads: int, workers: int = 1) -> Starter:
    return lambda app, port: [
        *(f"{BIN}/gunicorn", "--bind", f"{HOST}:{port}", "--workers", str(workers)),
        *("--worker-class", "gthread", "--threads", str(threads), "--keep-alive", "60"),
        *("--backlog", "1024", "--log-level", "error", "--no-control-socket", app),
    ]


def uwsgi(*more: str, processes: int = 1) -> Starter:
    return lambda app, port: [
        *(f"{BIN}/uwsgi", "--http11-socket", f"{HOST}:{port}", "--module", app),
        *("--master", "--die-on-term", "--disable-logging", "--listen", "1024"),
        *("--processes", str(processes), "--home", str(VENV), *more),
    ]


def started(name: str, *settings: str) -> Starter:
    """A server that is started from Python."""
    return lambda app, port: [str(PYTHON), "start.py", name, app, str(port), *settings]


def nginx(app: str, port: int, *spoken: str, prefix: str = "") -> Command:
    places = {"@PORT@": " ".join([str(port), *spoken]), "@WORK@": str(WORK), "@KEY@": f"{WORK}/{prefix}"}
    places["@BEHIND@"] = os.environ.get("BEHIND", "9")
    configuration = (FLOOR / "nginx.conf").read_text()
    for place, filled in places.items():
        configuration = configuration.replace(place, filled)
    path = WORK / "nginx.conf"
    path.write_text(configuration)
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    return [program, "-c", str(path), "-p", str(WORK), "-e", f"{LOGS}/nginx-errors.log"]


CERTIFICATE, KEY = f"{WORK}/certificate.pem", f"{WORK}/key.pem"
RSA_CERTIFICATE, RSA_KEY = f"{WORK}/rsa-certificate.pem", f"{WORK}/rsa-key.pem"
GRANIAN_TLS = ("--ssl-certificate", CERTIFICATE, "--ssl-keyfile", KEY)
GRANIAN_RSA = ("--ssl-certificate", RSA_CERTIFICATE, "--ssl-keyfile", RSA_KEY)

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
    "onionskin-w2": onionskin(1, "--workers", "2"),
    "granian-w2": granian(blocking_threads=1, workers=2),
    "gunicorn-w2": gunicorn(threads=64, workers=2),
    "uwsgi-w2": uwsgi("--threads", "64", processes=2),
    "granian-h2": granian(1, "--http", "2"),
    "granian-h2-tls": granian(1, *GRANIAN_TLS, "--http", "2"),
    "hypercorn": hypercorn(),
    "hypercorn-tls": hypercorn("--certfile", CERTIFICATE, "--keyfile", KEY),
    "onionskin-tls": onionskin(1, "--tls-certificate", CERTIFICATE, "--tls-key", KEY, scheme="https"),
    "granian-tls": granian(1, *GRANIAN_TLS),
    "nginx-tls": lambda app, port: nginx(app, port, "ssl"),
    "onionskin-rsa": onionskin(1, "--tls-certificate", RSA_CERTIFICATE, "--tls-key", RSA_KEY, scheme="https"),
    "granian-rsa": granian(1, *GRANIAN_RSA),
    "nginx-rsa": lambda app, port: nginx(app, port, "ssl", prefix="rsa-"),
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
WORKERS2 = ("onionskin-w2", "granian-w2", "gunicorn-w2", "uwsgi-w2")
HTTP2 = ("onionskin", "granian-h2", "hypercorn")
HTTP2_TLS = ("onionskin-tls", "granian-h2-tls", "hypercorn-tls")
TLS = ("onionskin-tls", "granian-tls", "nginx-tls")
RSA = ("onionskin-rsa", "granian-rsa", "nginx-rsa")
THREADS64 = ("onionskin-t64", "granian-bt64", "uwsgi-t64", "gunicorn-gthread64", "waitress64")
