"""The command line: ``onionskin serve``, ``onionskin layers``."""

from __future__ import annotations

import argparse
import sys
import traceback
from typing import TYPE_CHECKING, Any

from onionskin import _core
from onionskin.serving import DEFAULT_THREADS, serve
from onionskin.target import load

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0, 1 if requests were cut off at the end, 2 if what was asked for could not be done.
    """
    parsed = parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except (_core.ConfigurationError, OSError) as error:
        print(f"onionskin: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """All commands and options. Those of the server come from its own declaration."""
    top = argparse.ArgumentParser(
        prog="onionskin", description="The WSGI onion in Rust: a server, and its layers."
    )
    top.add_argument("--version", action="version", version=f"onionskin {_core.__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serving = commands.add_parser(
        "serve", help="serve an application", description="Serve a WSGI application."
    )
    serving.add_argument(
        "target",
        help="pkg.module:app, pkg.module, path/file.py:app, or pkg:create_app()",
        metavar="APPLICATION",
    )
    serving.add_argument(
        "--threads",
        type=int,
        default=DEFAULT_THREADS,
        metavar="N",
        help=f"calls into the application at once (default: {DEFAULT_THREADS})",
    )
    serving.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="NAME:OPTION=VALUE,...",
        help="put a layer around the application; repeatable, the outermost first",
    )
    schema = _core.server_options()
    for name, option in schema["properties"].items():
        add_server_option(serving, name, option)
    serving.set_defaults(run=run_serve)

    listing = commands.add_parser("layers", help="list the layers, or show one's options")
    listing.add_argument("name", nargs="?", metavar="NAME", help="the layer to show")
    listing.set_defaults(run=run_layers)
    return top


def add_server_option(serving: argparse.ArgumentParser, name: str, option: dict[str, Any]) -> None:
    """One option of the server's declaration as a flag."""
    default = option["default"]
    repeatable = isinstance(default, list)
    shown = (", ".join(default) or "none") if repeatable else default
    help_text = f"{lower_first(one_line(option['description'])).rstrip('.')} (default: {shown})"
    flag = "--" + name.replace("_", "-")
    if repeatable:
        serving.add_argument(flag, action="append", metavar="VALUE", help=help_text + "; repeatable")
    else:
        serving.add_argument(flag, metavar="VALUE", help=help_text)


def run_serve(parsed: argparse.Namespace) -> int:
    """``onionskin serve``."""
    layers = [_core.layer_from_text(text) for text in parsed.layer]
    try:
        app = load(parsed.target)
    except (_core.ConfigurationError, SystemExit, KeyboardInterrupt):
        raise
    except BaseException:
        print(f"onionskin: {parsed.target} raised while it was imported:", file=sys.stderr)
        traceback.print_exc()
        return 2
    app = _core.Onion(*layers)(app)
    names = _core.server_options()["properties"]
    options = {name: getattr(parsed, name) for name in names if getattr(parsed, name) is not None}
    graceful = serve(app, threads=parsed.threads, **options)
    return 0 if graceful else 1


def run_layers(parsed: argparse.Namespace) -> int:
    """``onionskin layers``."""
    declarations = {declaration["name"]: declaration for declaration in _core.declarations()}
    if parsed.name is None:
        width = max(map(len, declarations))
        for name, declaration in declarations.items():
            print(f"{name:{width}}  {declaration['summary']}")
        return 0
    if parsed.name not in declarations:
        known = ", ".join(declarations)
        raise _core.ConfigurationError(f"there is no layer {parsed.name!r}; the layers are {known}")
    print(describe(declarations[parsed.name]))
    return 0


def describe(declaration: dict[str, Any]) -> str:
    """A layer's options as text."""
    schema = declaration["schema"]
    required = schema.get("required", [])
    lines = [f"{declaration['name']} ({declaration['class']}): {declaration['summary']}", ""]
    for name, option in schema["properties"].items():
        default = "required" if name in required else f"default: {option.get('default')}"
        lines.append(f"  {name} ({default})")
        lines.append(f"      {one_line(option.get('description', ''))}")
    return "\n".join(lines)


def one_line(text: str) -> str:
    """A description without its line breaks."""
    return " ".join(text.split())


def lower_first(text: str) -> str:
    """A sentence as part of a line."""
    return text[:1].lower() + text[1:]
