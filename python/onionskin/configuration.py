"""One configuration out of a file, the environment, the command line and arguments.

    configuration = read(flags={"threads": ["8"]})
    configuration.data["server"]["threads"]  # {"value": 8, "from": "--threads"}

What is given later wins: file, environment, flags, arguments. The data can be handed to another process as
JSON, and be read anew at any time. To make the onion of it is the business of ``onionskin.building``.
"""

from __future__ import annotations

import os

from onionskin._core import Configuration, ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from typing import Any, Literal

__all__ = ["Configuration", "ConfigurationError", "placed", "read", "server_options"]

NAMED_BY = "ONIONSKIN_CONFIG"
"""The variable that names the file, if no flag does."""

INHERITED_BY = "_ONIONSKIN_WORKER"
"""The variable in which a worker finds what it inherits from its supervisor."""

UPGRADED_BY = "_ONIONSKIN_UPGRADE"
"""The variable in which a supervisor finds what another one hands over to it."""


def read(
    *,
    config: str | PathLike[str] | Literal[False] | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Sequence[str]] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Configuration:
    """Everything that was given, read into one.

    Args:
        config: The file. By default the one that ``ONIONSKIN_CONFIG`` names, or else ``onion.toml`` or the
            table ``[tool.onionskin]`` of pyproject.toml in the working directory, if there is one. With
            ``False`` neither a file nor the environment is read.
        environment: The variables; by default those of the process.
        flags: Options as texts, each with everything that was given for it.
        arguments: Options as Python's values.

    Raises:
        ConfigurationError: Something is unknown or wrong; the message says where, what, and what to do.
    """
    variables = dict(os.environ if environment is None else environment)
    if config is None:
        config = variables.get(NAMED_BY) or None
    elif config is False:
        variables = {}
    else:
        config = os.fspath(config)
    given = [(name, list(texts)) for name, texts in (flags or {}).items()]
    readable = [(name, text) for name, text in variables.items() if is_text(name) and is_text(text)]
    for where, text in (*variables.items(), *((name, text) for name, texts in given for text in texts)):
        if not is_text(text) and (where.startswith("ONIONSKIN_") or where not in variables):
            raise ConfigurationError(f"{where}: {text!a} is not valid UTF-8")
    return Configuration(config, readable, given, dict(arguments or {}))


def is_text(value: str) -> bool:
    """Return whether a string from the operating system was valid UTF-8 (PEP 383)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def server_options(data: Mapping[str, Any]) -> dict[str, Any]:
    """The server's options in the data of a configuration, by name."""
    return {name: given["value"] for name, given in data["server"].items()}


def placed(data: Mapping[str, Any], error: ConfigurationError) -> ConfigurationError:
    """What the server refuses only when it is made, such as a missing file, with the option's place."""
    name = str(error).partition(":")[0]
    place = data["server"].get(name, {}).get("from", "default")
    # A flag and an argument are named by the option itself.
    is_told = place == "default" or place.startswith((name, "-"))
    return error if is_told else ConfigurationError(f"{place}: {error}")
