"""The command line: ``onionskin serve`` and the commands that tell what it would do.

What a command alone needs is imported by it: a server keeps what was imported for as long as it serves. So
``typing``, which is larger than all that is here, is for type checkers alone in the modules of every server.
"""

from __future__ import annotations

import argparse
import os
import sys

from onionskin import _core
from onionskin.building import build, check
from onionskin.configuration import INHERITED_BY, UPGRADED_BY, read, server_options
from onionskin.flags import add_configuration_options, one_line
from onionskin.handed import handed_over, options_with
from onionskin.serving import leave, serve_onion
from onionskin.systemd import told_by_systemd
from onionskin.target import load, traceback_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from _typeshed.wsgi import WSGIApplication


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0, 1 if requests were cut off at the end, 2 if what was asked for could not be done.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        parsed = parsed_from(arguments)
        parsed.arguments = list(arguments)
        status = int(parsed.run(parsed))
        if parsed.run is not run_serve:
            sys.stdout.flush()
        return status
    except _core.BootError as error:
        print(f"onionskin: {error}\n{error.details}".rstrip(), file=sys.stderr)
        return 2
    except BrokenPipeError:
        # Who reads what is told has read enough, as `head` does. The rest is not to be written at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (_core.ConfigurationError, OSError) as error:
        # A line for each problem of the file.
        print(*(f"onionskin: {line}" for line in str(error).splitlines()), sep="\n", file=sys.stderr)
        if UPGRADED_BY in os.environ:
            from onionskin import workers

            workers.leave_to_predecessor(str(error))
        return 2


class Help(argparse.HelpFormatter):
    """As wide as the terminal. By itself argparse imports ``shutil`` for that, and three compressors."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=terminal_columns() - 2)


class Parser(argparse.ArgumentParser):
    """A parser, and those of its commands, with that help."""

    def __init__(self, **options: Any) -> None:
        # An abbreviation would change its meaning with the next option that begins like it.
        super().__init__(formatter_class=Help, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong; all options with it would push that out of sight."""
        self.exit(2, f"onionskin: {message}; see {self.prog} --help\n")


def parsed_from(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse a command line.

    Raises:
        ConfigurationError: There is no such command, or the command has no such option.
    """
    top = parser(arguments)
    commands = next(group.choices for group in top._actions if isinstance(group, argparse._SubParsersAction))
    first = next((argument for argument in arguments if argument not in ("-h", "--help", "--version")), None)
    if first is not None and first not in commands:
        raise _core.ConfigurationError(wrong_command(first, list(commands)))
    parsed, unknown = top.parse_known_args(arguments)
    if unknown:
        raise _core.ConfigurationError(wrong_option(unknown, commands[str(first)], str(first)))
    return parsed


def wrong_command(word: str, commands: list[str]) -> str:
    """Describe a command line that begins with ``word``."""
    if word.startswith("-"):
        return f"{word}: a command comes first; expected onionskin serve {word}; see onionskin --help"
    if ":" in word or word.endswith(".py") or os.path.exists(word):  # noqa: PTH110 - pathlib is large
        return f"{word!r} is not a command; did you mean onionskin serve {word}?"
    near = _core.suggestion(word, commands)
    meant = f"did you mean onionskin {near}?" if near else f"expected one of {', '.join(commands)}"
    return f"{word!r} is not a command; {meant}"


def wrong_option(unknown: list[str], command: argparse.ArgumentParser, name: str) -> str:
    """Describe the first argument that a command does not know."""
    word = next((word for word in unknown if word.startswith("-")), unknown[0])
    help_of = f"see onionskin {name} --help"
    if not word.startswith("-"):
        return f"unexpected argument {word!r}; {help_of}"
    flag = word.partition("=")[0]
    known = [option for option in command._option_string_actions if option.startswith("--")]
    near = _core.suggestion(
        flag.lstrip("-").replace("-", "_"), [text[2:].replace("-", "_") for text in known]
    )
    meant = f"did you mean --{near.replace('_', '-')}? " if near else ""
    return f"unknown option {flag}; {meant}{help_of}"


def terminal_columns() -> int:
    try:
        return int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        pass
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (AttributeError, OSError, ValueError):
        return 80


def parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """All commands, and the options of the one that the arguments ask for."""
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    top = Parser(prog="onionskin", description="The WSGI onion in Rust: a server, and its layers.")
    top.add_argument("--version", action="version", version=f"onionskin {_core.__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add_configuration(command: argparse.ArgumentParser) -> None:
        if command.prog.rpartition(" ")[2] == asked:
            add_configuration_options(command)

    serving = commands.add_parser(
        "serve", help="serve an application", description="Serve a WSGI application."
    )
    add_configuration(serving)
    serving.set_defaults(run=run_serve)

    checking = commands.add_parser(
        "check",
        help="check what would be served",
        description="Check what would be served, without serving. The exit status is 0 if all is well, 1 if "
        "something is likely not meant, 2 if it could not be served.",
    )
    add_configuration(checking)
    checking.add_argument("--no-import", action="store_true", help="do not import the applications")
    checking.set_defaults(run=run_check)

    printing = commands.add_parser(
        "config",
        help="print the configuration",
        description="Print the configuration as a file, with the place where each value was given.",
    )
    add_configuration(printing)
    printing.add_argument("--json", action="store_true", help="print it as JSON")
    printing.set_defaults(run=run_config)

    explaining = commands.add_parser(
        "explain",
        help="print the onion, and what of it runs natively",
        description="Print what would be served, the outermost layer first; what runs natively, what in "
        "Python, and why.",
    )
    add_configuration(explaining)
    explaining.set_defaults(run=run_explain)

    describing = commands.add_parser("schema", help="print the JSON schema of onion.toml, for editors")
    describing.set_defaults(run=run_schema)

    asking = commands.add_parser("status", help="show how a running server and its workers do")
    add_control(asking)
    asking.add_argument("--json", action="store_true", help="for programs")
    asking.set_defaults(run=run_control, command="status")

    reloading = commands.add_parser("reload", help="have a running server reload, and wait for the outcome")
    add_control(reloading)
    reloading.set_defaults(run=run_control, command="reload")

    upgrading = commands.add_parser(
        "upgrade", help="have a running server start anew, as another version, and wait for the outcome"
    )
    add_control(upgrading)
    upgrading.set_defaults(run=run_control, command="upgrade")

    listing = commands.add_parser("layers", help="list the layers, or show one's options")
    listing.add_argument("name", nargs="?", metavar="NAME", help="the layer to show")
    listing.set_defaults(run=run_layers)
    return top


def configured(parsed: argparse.Namespace) -> _core.Configuration:
    """The configuration that a command line asks for."""
    names = ["application", "layer", *_core.server_options()["properties"]]
    given = {name: getattr(parsed, name) for name in names if getattr(parsed, name) is not None}
    flags = {name: value if isinstance(value, list) else [str(value)] for name, value in given.items()}
    return read(config=parsed.config, flags=flags)


def run_serve(parsed: argparse.Namespace) -> int:
    """``onionskin serve``."""
    have_standard_streams()
    outlive_early_signals()
    data = configured(parsed).data
    if INHERITED_BY in os.environ:
        from onionskin import workers

        return workers.work(workers.inheritance(), lambda: build(data), data)
    if _core.number_of_workers(server_options(data)) > 0:
        from onionskin import workers

        return 0 if workers.supervise(parsed.arguments, data_of) else 1
    # Before the application is imported: it may start programs.
    handed, systemd = handed_over(data), told_by_systemd()
    return leave(serve_onion(built(data, options_with(handed, data)), data, handed, systemd))


def built(data: dict[str, Any], options: dict[str, Any]) -> WSGIApplication:
    """Build the onion. If a part of it is wrong, everything else that is wrong is reported with it."""
    try:
        return build(data, find=load_or_tell)
    except _core.ConfigurationError:
        check(data, options)
        raise


def have_standard_streams() -> None:
    """Have no socket of ours take the number of a standard stream that was closed: lines would go there."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free.
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 (until the end)


def outlive_early_signals() -> None:
    """Have no signal that means something to a server end it before the server listens to them."""
    import signal

    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        # What is ignored would stay so in the programs that the application starts.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, lambda *_: None)


def add_control(command: argparse.ArgumentParser) -> None:
    """What says which server is meant."""
    command.add_argument("--control", metavar="PATH", help="its control socket (default: that of the file)")
    command.add_argument("-c", "--config", metavar="FILE", help="its configuration")


def run_control(parsed: argparse.Namespace) -> int:
    """``onionskin status``, ``onionskin reload`` and ``onionskin upgrade``."""
    from onionskin import controlling

    status: int = getattr(controlling, f"run_{parsed.command}")(parsed)
    return status


def run_check(parsed: argparse.Namespace) -> int:
    """``onionskin check``."""
    from onionskin.checking import warnings

    configuration = configured(parsed)
    found = warnings(configuration.data, imports=not parsed.no_import, find=load_or_tell)
    for line in found:
        print(f"onionskin: warning: {line}", file=sys.stderr)
    print(f"{configuration.data['file'] or 'what was given'} can be served", file=sys.stderr)
    return 1 if found else 0


def run_config(parsed: argparse.Namespace) -> int:
    """``onionskin config``."""
    import json

    configuration = configured(parsed)
    print(json.dumps(configuration.masked, indent=2) if parsed.json else configuration.toml(), end="")
    if parsed.json:
        print()
    return 0


def run_explain(parsed: argparse.Namespace) -> int:
    """``onionskin explain``."""
    from onionskin.explaining import explained

    data = configured(parsed).data
    print(explained(built(data, server_options(data))))
    return 0


def run_schema(_: argparse.Namespace) -> int:
    """``onionskin schema``."""
    import json

    print(json.dumps(_core.configuration_schema(), indent=2))
    return 0


def data_of(arguments: Sequence[str]) -> dict[str, Any]:
    """The data of the configuration by these arguments: now, and by every reload."""
    data: dict[str, Any] = configured(parsed_from(arguments)).data
    return data


def load_or_tell(target: str) -> WSGIApplication:
    """The application that a target names; what its module raises is shown, and ends the command."""
    try:
        app: WSGIApplication = load(target)
        return app
    except (_core.ConfigurationError, KeyboardInterrupt):
        raise
    except BaseException as error:
        print(f"onionskin: {target} raised while it was imported:", file=sys.stderr)
        sys.stderr.write(traceback_of(error))
        raise SystemExit(2) from None


def run_layers(parsed: argparse.Namespace) -> int:
    """``onionskin layers``."""
    declarations = {declaration["name"]: declaration for declaration in _core.declarations()}
    if parsed.name is None:
        width = max(map(len, declarations))
        for name, declaration in declarations.items():
            print(f"{name:{width}}  {declaration['summary']}")
        return 0
    if parsed.name not in declarations:
        near = _core.suggestion(parsed.name, list(declarations))
        meant = f"did you mean {near}?" if near else f"the layers are {', '.join(declarations)}"
        raise _core.ConfigurationError(f"there is no layer {parsed.name!r}; {meant}")
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
