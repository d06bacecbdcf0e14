"""Serving with worker processes: what the supervisor runs, and what each of its workers does."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from onionskin import _core
from onionskin.building import check
from onionskin.configuration import INHERITED_BY, UPGRADED_BY, placed, server_options
from onionskin.diagram import diagram
from onionskin.handed import Handed, handed_over, options_with
from onionskin.serving import leave
from onionskin.systemd import told_by_systemd
from onionskin.target import traceback_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from _typeshed.wsgi import WSGIApplication


class Inheritance(NamedTuple):
    """The descriptors that a worker was started with."""

    control: int
    """The channel to the supervisor."""
    listeners: list[tuple[int, str]]
    """The listening sockets, and the places that they are bound to."""
    forks: bool
    """Whether it is to fork workers, once it has imported the application."""


def inheritance() -> Inheritance:
    """What this process inherits from its supervisor. It can be taken once."""
    told = json.loads(os.environ.pop(INHERITED_BY))
    listeners = [(listener, place) for listener, place in told["listeners"]]
    inherited = Inheritance(told["control"], listeners, told.get("forks", False))
    for descriptor in (inherited.control, *(listener for listener, _ in inherited.listeners)):
        # Not for the programs that the application starts.
        os.set_inheritable(descriptor, False)
    return inherited


def supervise(
    arguments: Sequence[str], read: Callable[[Sequence[str]], dict[str, Any]], module: str = "onionskin"
) -> bool:
    """Serve with workers until SIGINT or SIGTERM.

    Args:
        arguments: Those of the command line: each worker gets the same.
        read: Gives the data of the configuration by the arguments, now and at every reload.
        module: What a worker runs with these arguments.

    Returns:
        Whether every request in flight was answered.

    Raises:
        ConfigurationError: An option is unknown or wrong.
        OSError: A place is taken, or not permitted.
        BootError: The first workers could not become ready.
    """
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # multiprocessing's way, too
    command = [sys.executable, *flags, "-m", module, *arguments]
    directory = working_directory()

    estate = os.environ.get(UPGRADED_BY)
    handed: Handed = []

    def plan() -> tuple[list[str], str, dict[str, Any], list[str]]:
        data = read(arguments)
        return command, directory, servable(data, handed), [data["file"]] if data["file"] else []

    # Not for workers: it is the supervisor whom systemd knows.
    notify, watchdog = told_by_systemd()
    if estate is None:
        handed = handed_over(read(arguments))
        supervisor = _core.Supervisor(plan, handed=handed, notify=notify, watchdog=watchdog)
    else:
        told = json.loads(estate)
        handed = [(number, name) for number, name, _ in told.get("handed", ())]
        keep_from_children(told)
        supervisor = _core.Supervisor(plan, estate=estate, notify=notify, watchdog=watchdog)
        # From here on it can tell by itself what is wrong.
        del os.environ[UPGRADED_BY]
    # Python's own handler would raise KeyboardInterrupt once we are back.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return supervisor.run()
    except _core.ConfigurationError as error:
        raise placed(read(arguments), error) from None
    finally:
        signal.signal(signal.SIGINT, before)


def servable(data: dict[str, Any], handed: Handed) -> dict[str, Any]:
    """Return the server's options, checked as far as is possible without importing an application.

    Args:
        data: The data of a configuration.
        handed: The sockets that were handed over. Without ``bind``, their names say where TLS is spoken.

    Raises:
        ConfigurationError: The configuration cannot be served.
    """
    options = options_with(handed, data)
    check(data, options)
    return options


def leave_to_predecessor(reason: str) -> None:
    """Tell the supervisor that was to be succeeded, if there is one, why it has to go on."""
    if UPGRADED_BY in os.environ:
        fail(json.loads(os.environ.pop(UPGRADED_BY))["channel"], reason)


def keep_from_children(estate: dict[str, Any]) -> None:
    """See to it that no program of ours inherits what another supervisor hands over."""
    places = [place for kind in ("places", "scraped", "control") for place in estate.get(kind, ())]
    handed = [descriptor for *_, descriptor in estate.get("handed", ())]
    for descriptor in (estate["channel"], *handed, *(one for _, sockets in places for one in sockets)):
        os.set_inheritable(descriptor, False)


def working_directory() -> str:
    """Return the directory that workers run in, by the shell's name for it (``PWD``) if that is valid.

    A symbolic link in that name is followed again by every generation. systemd and ``env -i`` set no ``PWD``.
    """
    here, named = Path.cwd(), os.environ.get("PWD", "")
    with contextlib.suppress(OSError):
        # A relative name, or an empty one, is not a shell's (POSIX, "PWD").
        if Path(named).is_absolute() and Path(named).samefile(here):
            return named
    return str(here)


def work(inherited: Inheritance, load: Callable[[], WSGIApplication], data: Mapping[str, Any]) -> int:
    """Be a worker: load the application, say so, serve until the supervisor says otherwise.

    As a fork server, load the application, and fork workers, until the supervisor hangs up.

    Returns:
        The exit status: 0, 1 if requests were cut off, 2 if it could not serve.
    """
    _core.enter_boot()
    # A terminal or a log rotation may send these to every process; what they mean is the supervisor's to say.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
    if not faulthandler.is_enabled():
        # There may be no standard error, or none with a descriptor.
        with contextlib.suppress(OSError, RuntimeError, AttributeError, ValueError):
            faulthandler.enable()
    # Where no place is given, it is the supervisor's to say which there are.
    options = {**server_options(data), "bind": [place for _, place in inherited.listeners]}
    control, watched = inherited.control, None
    if options["reload"]:
        from onionskin.imported import Imported

        watched = Imported()
    try:
        app = load()
        if inherited.forks:
            from onionskin import forking

            # From here on it is a worker, with a channel of its own.
            control = forking.serve(control, [listener for listener, _ in inherited.listeners])
        server = _core.Server(app, options, inherited.listeners)
    except (_core.ConfigurationError, OSError) as error:
        wrong = placed(data, error) if isinstance(error, _core.ConfigurationError) else error
        return fail(control, str(wrong))
    except BaseException as error:
        reason = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()[-1]
        folders = watched.by(error) if watched else []
        reason = f"the application could not be loaded: {reason}"
        return fail(control, reason, traceback_of(error), folders)
    about = diagram(app, server.bound, options["threads"], _core.number_of_workers(options))
    return leave(server.work(control, about, watched))


MOST_DETAILS = 64 * 1024
"""So much of a traceback, of its end, is passed on."""


def fail(control: int, reason: str, details: str = "", folders: Sequence[str] = ()) -> int:
    """Tell the supervisor why this worker can't serve, and which folders' change may be the cure."""
    imported = {"kind": "imported", "folders": folders}
    failed = {"kind": "failed", "reason": reason, "details": details[-MOST_DETAILS:]}
    with socket.socket(fileno=control) as channel, contextlib.suppress(OSError):
        for message in (imported, failed) if folders else (failed,):
            channel.sendall(json.dumps(message).encode() + b"\n")
    return 2
