"""One application that does whatever PEP 3333 allows, and what it forbids: the path names the script.

The query may hold ``key`` (under which things are counted, see ``/counts``) and ``gate``
(see support/gate.py).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from doors import bodies, faults, heads
from doors.stage import SCRIPTS, query, script, tally

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["application", "bodies", "counts", "faults", "heads", "mounted"]


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Runs the script that the path names, whatever follows it."""
    name = environ["PATH_INFO"].split("/")[1]
    return SCRIPTS[name](environ, start_response)


def mounted(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The same where the script's name was the mount point."""
    name = (environ["SCRIPT_NAME"] + environ["PATH_INFO"]).split("/")[1]
    return SCRIPTS[name](environ, start_response)


@script
def counts(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """What was counted for ``key``, once there is some ``wait``."""
    start_response("200 OK", [("Content-Type", "application/json")])
    given = query(environ)
    return [json.dumps(tally.once(given["of"], given.get("wait", ""))).encode()]
