"""Serving an application from Python."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from onionskin import _core
from onionskin.diagram import diagram

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed.wsgi import WSGIApplication

DEFAULT_THREADS = 4
"""How many calls into the application may run at once, if nothing is said."""


def serve(
    app: WSGIApplication,
    *,
    bind: Sequence[str] = ("127.0.0.1:8000",),
    threads: int = DEFAULT_THREADS,
    announce: bool = True,
    **options: Any,
) -> bool:
    """Serve an application until SIGINT or SIGTERM.

    Args:
        app: A WSGI application; layers of ours around it run natively.
        bind: Places to listen on: ``HOST:PORT``, ``[IPV6]:PORT``, ``:PORT``, ``unix:PATH``.
        threads: How many calls into the application may run at once, 1 to 1024.
        announce: Whether to print what is served, and where.
        options: The server's other options, such as ``graceful_timeout="30s"``; ``onionskin serve --help``
            lists them.

    Returns:
        Whether every request in flight was answered within ``graceful_timeout``.

    Raises:
        ConfigurationError: An option is unknown or wrong.
        OSError: A place is taken, or not permitted.
    """
    server = _core.Server(app, threads, {"bind": list(bind), **options})
    if announce:
        print(diagram(app, server.bound, threads), file=sys.stderr, flush=True)
    return run(server)


def in_main_thread() -> bool:
    """Whether signals are delivered to the thread that asks."""
    return threading.current_thread() is threading.main_thread()


def run(server: _core.Server) -> bool:
    """Let ``server`` serve; in the main thread SIGINT and SIGTERM stop it."""
    if not in_main_thread():
        return server.serve(signals=False)[1]
    # Python's own handler would raise KeyboardInterrupt once we are back.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return server.serve(signals=True)[1]
    finally:
        signal.signal(signal.SIGINT, before)
