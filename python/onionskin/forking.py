"""Workers that are forked from a process that has imported the application: ``--preload``."""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import stat
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onionskin import _core

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import FrameType

EXITED = 1
"""The status of a process of ours that has lost whom it belongs to."""

PATIENCE = 1.0
"""So many seconds threads that end have to be gone, and a child of the trial has to end."""


class ForkServer:
    """Forks a worker whenever the supervisor asks for one.

    It stays as it was when the application had been imported, with one thread, and never calls it.
    """

    def __init__(self, control: int) -> None:
        """Take the channel to the supervisor, a descriptor."""
        self.channel = socket.socket(fileno=control)
        self.woken, self.waker = socket.socketpair()
        self.waker.setblocking(False)
        self.heard = b""
        self.children: set[int] = set()
        self.before = signal.signal(signal.SIGCHLD, heed)
        signal.set_wakeup_fd(self.waker.fileno(), warn_on_full_buffer=False)

    def serve(self) -> int:
        """Fork until the supervisor hangs up; then this process ends, without the functions of ``atexit``.

        Returns:
            In each worker, the descriptor of its own channel. In the fork server itself, never.
        """
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        poll.register(self.woken, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == self.woken.fileno():
                    self.woken.recv(4096)
                    self.tell_ended()
                    continue
                for _ in range(self.asked()):
                    worker = self.fork()
                    if worker is not None:
                        return worker

    def asked(self) -> int:
        """How many workers are asked for now."""
        heard = self.channel.recv(4096)
        if not heard:
            os._exit(0)
        *lines, self.heard = (self.heard + heard).split(b"\n")
        return sum(json.loads(line)["kind"] == "fork" for line in lines)

    def fork(self) -> int | None:
        """Fork a worker. In it, the descriptor of its channel is returned."""
        ours, theirs = socket.socketpair()
        # What is buffered would be written by both.
        flush()
        parent = os.getpid()
        pid = os.fork()
        if pid != 0:
            theirs.close()
            self.children.add(pid)
            self.tell({"kind": "forked", "pid": pid}, ours)
            ours.close()
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, self.before)
        for end in (ours, self.channel, self.woken, self.waker):
            end.close()
        _core.enter_boot()
        if os.getppid() != parent:
            os._exit(EXITED)
        return theirs.detach()

    def tell_ended(self) -> None:
        """Tell the supervisor which workers have ended, and how."""
        for child in list(self.children):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid != 0:
                self.children.remove(child)
                self.tell({"kind": "ended", "pid": pid, "status": os.waitstatus_to_exitcode(status)})

    def tell(self, message: dict[str, Any], along: socket.socket | None = None) -> None:
        """Send the supervisor a message, and a socket along with it. Without one, this process ends."""
        line = json.dumps(message).encode() + b"\n"
        try:
            if along is None:
                self.channel.sendall(line)
            else:
                socket.send_fds(self.channel, [line], [along.fileno()])
        except OSError:
            os._exit(EXITED)


def serve(control: int, listeners: Collection[int]) -> int:
    """Be a fork server, once the application has been imported.

    Args:
        control: The descriptor of the channel to the supervisor.
        listeners: Those of the listening sockets, which are meant to be shared.

    Returns:
        In each worker, the descriptor of its own channel to the supervisor. In the fork server itself, never.

    Raises:
        ConfigurationError: A fork would lose threads.
    """
    refuse_threads()
    server = ForkServer(control)
    warnings = [
        f"preload: importing the application has opened a connection to {peer}, which all workers share; "
        "open it later, or give it up in os.register_at_fork(after_in_child=...)"
        for peer in connections({control, *listeners})
    ]
    # What is there is shared for as long as nobody writes to it, as the garbage collector would.
    gc.collect()
    gc.freeze()
    server.tell({"kind": "loaded", "warnings": warnings})
    return server.serve()


def refuse_threads() -> None:
    """Refuse to fork where other threads run: their locks would stay locked, their work would be left undone.

    Some libraries end their threads before a fork, and start them again: what counts is what is left then.

    Raises:
        ConfigurationError: Threads are left.
    """
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    count = len(sys._current_frames()) - 1
    if count == 0:
        try_to_fork()
        count = other_threads()
    if count == 0:
        return
    threads = "a thread" if count == 1 else f"{count} threads"
    named = f" ({', '.join(names)})" if names else ""
    raise _core.ConfigurationError(
        f"preload: importing the application has started {threads}{named}, which a fork would lose; start "
        "them later, or in os.register_at_fork(after_in_child=...), or leave preload out"
    )


def try_to_fork() -> None:
    """Fork a process that ends at once."""
    flush()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    until = time.monotonic() + PATIENCE
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise _core.ConfigurationError(
                "preload: a process that was forked after importing the application hangs; leave preload out"
            )
        time.sleep(0.001)


def other_threads() -> int:
    """How many threads run beside this one; those that end are waited for."""
    until = time.monotonic() + PATIENCE
    while (count := sum(1 for _ in Path("/proc/self/task").iterdir()) - 1) > 0 and time.monotonic() < until:
        time.sleep(0.01)
    return count


def connections(known: Collection[int]) -> list[str]:
    """Where the connections lead that this process has, but for the standard streams and known ones."""
    descriptors = [int(descriptor.name) for descriptor in Path("/proc/self/fd").iterdir()]
    peers = [peer_of(descriptor) for descriptor in descriptors if descriptor > 2 and descriptor not in known]
    return [peer for peer in peers if peer]


def peer_of(descriptor: int) -> str:
    """Where a connection leads; nothing if it is none, or one within the process."""
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return ""
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            peer = connection.getpeername() if connection.type == socket.SOCK_STREAM else ""
    except OSError:
        return ""
    return f"{peer[0]} port {peer[1]}" if isinstance(peer, tuple) else os.fsdecode(peer)


def flush() -> None:
    """Write what is buffered of the standard streams."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            # There is none, or nobody reads it.
            continue


def heed(number: int, frame: FrameType | None) -> None:
    """Take a signal, which wakes whoever waits."""
