"""The flags that say what is to be served, and how: made of the declaration of the server's options."""

from __future__ import annotations

import argparse

from onionskin import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def add_configuration_options(command: argparse.ArgumentParser) -> None:
    """What says what is to be served, and how; the server's options come from their declaration."""
    command.add_argument(
        "application",
        nargs="?",
        help="pkg.module:app, pkg.module, path/file.py:app, or pkg:create_app() (default: that of the file)",
        metavar="APPLICATION",
    )
    file = command.add_mutually_exclusive_group()
    file.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        help="the configuration (default: onion.toml, or [tool.onionskin] in pyproject.toml, if one is here)",
    )
    file.add_argument(
        "--no-config",
        dest="config",
        action="store_const",
        const=False,
        help="do without a file, and without ONIONSKIN_... variables",
    )
    command.add_argument(
        "--layer",
        action="append",
        metavar="NAME:OPTION=VALUE,...",
        help="put a layer around the application; repeatable, the outermost first",
    )
    schema = _core.server_options()
    for name, option in schema["properties"].items():
        add_server_option(command, name, option)


def add_server_option(command: argparse.ArgumentParser, name: str, option: dict[str, Any]) -> None:
    """One option of the server's declaration as a flag. Its value stays text: the declaration reads it."""
    default = option.get("default")
    repeatable = isinstance(default, list)
    shown = ", ".join(map(str, as_list(default))) or "none"
    meaning = lower_first(one_line(option["description"])).rstrip(".").replace("%", "%%")
    help_text = f"{meaning} (default: {shown})"
    flags = [*([SHORT[name]] if name in SHORT else []), "--" + name.replace("_", "-")]
    if repeatable:
        command.add_argument(
            *flags, action="append", metavar=metavar(option), help=help_text + "; repeatable"
        )
    elif option.get("type") == "boolean":
        command.add_argument(*flags, action=argparse.BooleanOptionalAction, help=help_text)
    else:
        command.add_argument(*flags, metavar=metavar(option), help=help_text)


SHORT = {"bind": "-b", "workers": "-w", "threads": "-t"}
"""Short flags; ``-c`` is ``--config``."""


def as_list(default: Any) -> list[Any]:
    """An option's default in a list, as it is written."""
    if isinstance(default, bool):
        return ["yes" if default else "no"]
    return default if isinstance(default, list) else [] if default is None else [default]


def metavar(option: dict[str, Any]) -> str:
    """What stands for an option's value in the help."""
    described = option.get("items") or option
    kinds = described.get("type")
    if "integer" in ([kinds] if isinstance(kinds, str) else kinds or []):
        return "N"
    choices = [described, *described.get("anyOf", [])]
    referred = next((choice["$ref"].rpartition("/")[2] for choice in choices if "$ref" in choice), "")
    return {"Bind": "PLACE", "Span": "TIME", "Size": "SIZE"}.get(referred, "VALUE")


def one_line(text: str) -> str:
    """A description without its line breaks."""
    return " ".join(text.split())


def lower_first(text: str) -> str:
    """A sentence as part of a line."""
    return text[:1].lower() + text[1:]
