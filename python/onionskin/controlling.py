"""The commands that talk to a running server: ``onionskin status``, ``reload`` and ``upgrade``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from onionskin import control
from onionskin._core import ConfigurationError
from onionskin.configuration import read, server_options

if TYPE_CHECKING:
    import argparse
    from typing import Any


def control_of(parsed: argparse.Namespace) -> str:
    """The control socket that is meant."""
    if parsed.control:
        return str(parsed.control)
    try:
        path = server_options(read(config=parsed.config).data)["control"]
    except ConfigurationError as error:
        # The server runs with what it has read at its start, and this is when its state matters most.
        path = control.named_in(parsed.config)
        if path is None:
            raise
        for line in str(error).splitlines():
            print(f"onionskin: warning: {line}", file=sys.stderr)
    if path is None:
        raise ConfigurationError("no control socket is configured; expected --control PATH")
    return str(path)


def run_status(parsed: argparse.Namespace) -> int:
    """``onionskin status``."""
    status = control.ask(control_of(parsed), "status")
    print(json.dumps(status, indent=2) if parsed.json else control.described(status))
    return 0


def run_reload(parsed: argparse.Namespace) -> int:
    """``onionskin reload``."""
    answer = control.ask(control_of(parsed), "reload")
    if has_failed(answer, "not reloaded"):
        return 1
    print(f"onionskin: generation {answer.get('generation', '-')} serves", file=sys.stderr)
    return 0


def run_upgrade(parsed: argparse.Namespace) -> int:
    """``onionskin upgrade``."""
    answer = control.ask(control_of(parsed), "upgrade")
    if has_failed(answer, "not upgraded"):
        return 1
    pid, generation = answer.get("pid", "-"), answer.get("generation", "-")
    print(f"onionskin: process {pid} serves, generation {generation}", file=sys.stderr)
    return 0


def has_failed(answer: dict[str, Any], what: str) -> bool:
    """Whether the server did not do what it was asked for; if so, that is said, with its reason."""
    wrong = answer.get("error") or answer.get("failed")
    if wrong is not None:
        print(f"onionskin: {what}: {wrong}", file=sys.stderr)
    return wrong is not None
