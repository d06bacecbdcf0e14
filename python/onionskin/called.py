"""Workers for ``onionskin.serve()``: each is a new process, and what the call was given is its one argument.

python -m onionskin.called '{"application": "mysite.wsgi:app", "arguments": {"threads": 8}, ...}'
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from onionskin import _core, workers
from onionskin.building import build
from onionskin.configuration import UPGRADED_BY, read

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from typing import Literal


def supervise(
    application: str | None,
    config: str | PathLike[str] | Literal[False] | None,
    arguments: Mapping[str, Any],
) -> bool:
    """Serve with workers, as ``serve()`` was called. The arguments are those that a configuration takes."""
    given = {
        "application": application,
        "config": config if config is None or config is False else os.fspath(config),
        "arguments": dict(arguments),
        # A script's modules are found beside it, wherever it was started from.
        "path": [entry for entry in sys.path if entry],
    }
    return workers.supervise([json.dumps(given, default=str)], data_of, MODULE)


MODULE = "onionskin.called"


def data_of(arguments: Sequence[str]) -> dict[str, Any]:
    """The data of the configuration: now, and by every reload."""
    return configured(json.loads(arguments[0]))


def configured(given: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that a call was given."""
    data: dict[str, Any] = read(config=given["config"], arguments=given["arguments"]).data
    return data


def main() -> int:
    """Be a worker; or the supervisor, in place of the one that ``serve()`` was.

    Returns:
        The exit status, as of ``onionskin serve``.
    """
    given = json.loads(sys.argv[1])
    sys.path += [entry for entry in given["path"] if entry not in sys.path]
    try:
        if UPGRADED_BY in os.environ:
            return 0 if workers.supervise(sys.argv[1:], data_of, MODULE) else 1
        data = configured(given)
    except _core.BootError as error:
        print(f"onionskin: {error}\n{error.details}".rstrip(), file=sys.stderr)
        return 2
    except (_core.ConfigurationError, OSError) as error:
        print(f"onionskin: {error}", file=sys.stderr)
        workers.leave_to_predecessor(str(error))
        return 2
    return workers.work(workers.inheritance(), lambda: build(data, given["application"]), data)


if __name__ == "__main__":
    sys.exit(main())
