"""What systemd says in the environment: where it is told news, and how often it wants a sign of life."""

from __future__ import annotations

import os

Systemd = tuple[str | None, int | None]
"""The socket for news, and the microseconds within which a sign is expected; either may be missing."""


def told_by_systemd() -> Systemd:
    """What it says to this process (``sd_notify(3)``).

    It can be taken once: the programs that the application starts are not meant.
    """
    return os.environ.pop("NOTIFY_SOCKET", None), watchdog()


def watchdog() -> int | None:
    """Within how many microseconds systemd wants a sign of life, if it does (``sd_watchdog_enabled(3)``)."""
    within, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", None)
    is_meant = pid is None or pid == str(os.getpid())
    return int(within) if is_meant and within.isdecimal() else None
