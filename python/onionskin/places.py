"""Finds out whether a server could listen on its places, without listening."""

from __future__ import annotations

import errno
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def unusable(options: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the options whose places cannot be listened on, with the reason.

    A port in use is none of them: it may be the server's own, which is to be reloaded.
    """
    for option in ("bind", "metrics_bind"):
        for place in options[option]:
            if reason := wrong_place(place):
                yield option, f"{place}: {reason}"
    control = options["control"]
    if control is not None and (reason := wrong_socket(control)):
        yield "control", f"{control}: {reason}"


def wrong_place(place: str) -> str:
    """Return why a place cannot be listened on; empty if it can."""
    where = re.sub(r"^(https|redirect|http)(\+|://)", "", place)
    if where.startswith("unix:"):
        return wrong_socket(where.removeprefix("unix:"))
    if where.startswith(("fd://", "systemd:")):
        return ""
    host, _, port = where.rpartition(":")
    return wrong_address(host.strip("[]"), int(port) if port.isdecimal() else 0)


def wrong_socket(path: str) -> str:
    """Return why a Unix socket cannot be made; empty if it can."""
    if path.startswith("@"):
        return ""
    folder = Path(path).parent
    if not folder.is_dir():
        return f"there is no directory {folder}; create it, or choose another path"
    if Path(path).is_dir():
        return "is a directory; expected the path of a socket, such as /run/site.sock"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"no permission to create files in {folder}; change its owner, or choose another path"
    return ""


def wrong_address(host: str, port: int) -> str:
    """Return why a TCP address cannot be bound; empty if it can."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        return f"the host cannot be resolved: {error.strerror}; expected an address of this machine"
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as attempt:
                attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    attempt.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                attempt.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return "the address is not on this machine; expected one of its own, or 0.0.0.0 for all"
            if error.errno == errno.EACCES:
                way_out = "choose one from 1024 on, or grant CAP_NET_BIND_SERVICE"
                return f"no permission to listen on port {port}; {way_out}"
            if error.errno not in (errno.EADDRINUSE, errno.EAFNOSUPPORT):
                return f"{error.strerror}; choose another address"
    return ""
