"""Serving an application from Python."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading

from onionskin import _core
from onionskin.building import build
from onionskin.configuration import placed, read, server_options
from onionskin.diagram import diagram
from onionskin.handed import Handed, handed_over, options_with
from onionskin.systemd import Systemd, told_by_systemd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from os import PathLike
    from typing import Any, Literal

    from _typeshed.wsgi import WSGIApplication
    from typing_extensions import Unpack

    from onionskin.options import ServerOptions


def serve(
    app: WSGIApplication | str | None = None,
    *,
    bind: Sequence[str] | None = None,
    threads: int | None = None,
    config: str | PathLike[str] | Literal[False] | None = None,
    announce: bool = True,
    **options: Unpack[ServerOptions],
) -> bool:
    """Serve an application until SIGINT or SIGTERM.

    Args:
        app: A WSGI application; layers of ours around it run natively. Or its name, ``"mysite.wsgi:app"``,
            which it takes where there are worker processes: they import it themselves. Without one, the
            application of the configuration.
        bind: Places to listen on: ``HOST:PORT``, ``[IPV6]:PORT``, ``:PORT``, ``unix:PATH``. By default
            ``127.0.0.1:8000``.
        threads: How many calls into the application may run at once, 1 to 1024. By default 4.
        config: The configuration's file. By default ``onion.toml`` in the working directory, if there is
            one. With ``False`` neither a file nor the environment is read.
        announce: Whether to print what is served, and where. With workers, it is always printed.
        options: The server's other options, such as ``graceful_timeout="30s"``: see
            ``onionskin.options.ServerOptions``.

    Returns:
        Whether every request in flight was answered within ``graceful_timeout``.

    Raises:
        ConfigurationError: An option is unknown or wrong.
        OSError: A place is taken, or not permitted.
        BootError: The first workers could not become ready.
    """
    if isinstance(bind, str):
        bind = [bind]
    named = {"bind": bind, "threads": threads, **options}
    arguments = {name: value for name, value in named.items() if value is not None}
    data = read(config=config, arguments=arguments).data
    if asked := workers_asked_for(data):
        from onionskin import called

        if app is not None and not isinstance(app, str):
            way_out = f'give its name, as serve("mysite.wsgi:app", {asked}=...) does'
            raise refused(data, asked, f"worker processes import the application themselves; {way_out}")
        if not in_main_thread():
            raise refused(data, asked, "workers belong to the main thread; call serve() there")
        return called.supervise(app, config, arguments)
    return serve_onion(build(data, app), data, announce=announce)


def workers_asked_for(data: Mapping[str, Any]) -> str | None:
    """The option that asks for worker processes, if any does."""
    options = server_options(data)
    if _core.number_of_workers(options) == 0:
        return None
    return "workers" if _core.number_of_workers({**options, "reload": False}) else "reload"


def refused(data: Mapping[str, Any], option: str, wrong: str) -> _core.ConfigurationError:
    """The refusal of an option, with its place."""
    return placed(data, _core.ConfigurationError(f"{option}: {wrong}"))


def serve_onion(
    app: WSGIApplication,
    data: Mapping[str, Any],
    handed: Handed | None = None,
    systemd: Systemd | None = None,
    *,
    announce: bool = True,
) -> bool:
    """Serve what has been built, as the data of a configuration say, until SIGINT or SIGTERM."""
    handed = handed_over(data) if handed is None else handed
    # In another thread, this is a part of a program that tells of itself what it likes.
    systemd = told_by_systemd() if systemd is None and in_main_thread() else systemd
    options = options_with(handed, data)
    try:
        server = _core.Server(app, options, None, handed)
    except _core.ConfigurationError as error:
        raise placed(data, error) from None

    def say() -> None:
        # A standard error that nobody reads any more is no reason not to serve.
        with contextlib.suppress(OSError):
            print(diagram(app, server.bound, options["threads"]), file=sys.stderr, flush=True)

    try:
        return run(server, say if announce else None, systemd)
    except _core.ConfigurationError as error:
        raise placed(data, error) from None


def leave(graceful: bool) -> int:
    """End the process of a server that has stopped, or return its exit status.

    If requests were cut off, calls into the application may still run. Their threads would abort the process
    once they meet an interpreter that is being finalized, so only the functions of ``atexit`` are run.
    """
    if graceful:
        return 0
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        # A stream may be closed, or its reader gone.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(1)


def in_main_thread() -> bool:
    """Whether signals are delivered to the thread that asks."""
    return threading.current_thread() is threading.main_thread()


def run(
    server: _core.Server, ready: Callable[[], None] | None = None, systemd: Systemd | None = None
) -> bool:
    """Let ``server`` serve; in the main thread SIGINT and SIGTERM stop it."""
    if not in_main_thread():
        return server.serve(signals=False, ready=ready)[1]
    notify, watchdog = systemd or (None, None)
    # Python's own handler would raise KeyboardInterrupt once we are back.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return server.serve(signals=True, ready=ready, notify=notify, watchdog=watchdog)[1]
    finally:
        signal.signal(signal.SIGINT, before)
