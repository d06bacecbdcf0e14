"""Listening sockets that this process was started with: systemd's socket activation, and ``fd://``."""

from __future__ import annotations

import os
import re
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FIRST = 3
"""The number of the first one (``SD_LISTEN_FDS_START``)."""

SPOKEN = ("https", "redirect")
"""Names that say what is spoken on a socket, where no place was given; on all others it is HTTP."""

Handed = list[tuple[int, str]]
"""Numbers and names."""


def handed_over(data: Mapping[str, Any]) -> Handed:
    """The sockets that were handed over, and those beside them that places name by their numbers.

    They can be taken once. What the environment says of them is taken from it, too: it is not meant for the
    programs that the application starts.
    """
    taken = by_systemd()
    numbers = {number for number, _ in taken}
    places = [place for name in ("bind", "metrics_bind") for place in data["server"][name]["value"]]
    named = [int(found[1]) for found in (re.search(r"\bfd://(\d+)$", place) for place in places) if found]
    taken += [(number, "") for number in named if number not in numbers and is_socket(number)]
    for number, _ in taken:
        os.set_inheritable(number, False)
    return taken


def by_systemd() -> Handed:
    """Those of which systemd tells (``sd_listen_fds(3)``)."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    del os.environ["LISTEN_PID"]
    os.environ.pop("LISTEN_PIDFDID", None)
    count = os.environ.pop("LISTEN_FDS", "0")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    numbers = range(FIRST, FIRST + (int(count) if count.isdecimal() else 0))
    named = [names[at] if at < len(names) else "" for at in range(len(numbers))]
    return [(number, name) for number, name in zip(numbers, named, strict=True) if is_socket(number)]


def is_socket(number: int) -> bool:
    """Whether there is such a socket, beyond the standard streams."""
    try:
        return number >= FIRST and stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        return False


def options_with(handed: Handed, data: Mapping[str, Any]) -> dict[str, Any]:
    """The server's options: where no place is given, it listens on what was handed over."""
    options = {name: given["value"] for name, given in data["server"].items()}
    if handed and data["server"]["bind"]["from"] == "default":
        spoken = [f"{name}+" if name in SPOKEN else "" for _, name in handed]
        options["bind"] = [
            f"{scheme}fd://{number}" for scheme, (number, _) in zip(spoken, handed, strict=True)
        ]
    return options
