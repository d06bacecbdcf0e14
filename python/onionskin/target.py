"""From the text that names an application to the application."""

from __future__ import annotations

import importlib
import os
import sys

from onionskin import interface
from onionskin._core import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType, TracebackType
    from typing import Any

NAMES = ("application", "app")
"""What an application is called where nothing is said."""


def load(target: str) -> Any:
    """The application that ``target`` names.

    Args:
        target: ``pkg.module:app``, ``pkg.module`` (its ``application`` or ``app``), ``path/file.py:app``, or
            ``pkg:create_app()`` (called with literal arguments, if any).

    Raises:
        ConfigurationError: There is no such module, file or name, or it is no application.
        Exception: What the module itself raises while it is imported.
    """
    where, _, expression = target.partition(":")
    if not where:
        raise ConfigurationError(f"{target!r} names no module; write pkg.module:app or path/file.py:app")
    try:
        module = from_file(where) if where.endswith(".py") else from_name(where)
        app = evaluate(module, expression, where) if expression else default(module, where)
    except SystemExit as error:
        # With status 0 it would look like a server that has stopped.
        raise ConfigurationError(exited(target, error)) from error
    if not callable(app):
        raise ConfigurationError(
            f"{target!r} is {type(app).__name__}, not a WSGI application; expected a callable such as "
            f"{where}:app"
        )
    interface.check(app, target)
    return app


def exited(target: str, error: SystemExit) -> str:
    """Describe an exit during the import, with the line of the application that led to it."""
    import sysconfig

    standard = sysconfig.get_paths()["stdlib"]
    trace, line = users_traceback(error), ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        # argparse exits, too: what counts is who called it.
        if not line or not file.startswith((standard, "<frozen")):
            line = f" at {file}:{trace.tb_lineno}"
        trace = trace.tb_next
    way_out = 'move the call below if __name__ == "__main__":'
    return f"{target!r} called sys.exit({error.code!r}){line} while it was imported; {way_out}"


def users_traceback(error: BaseException) -> TracebackType | None:
    """Return the traceback of an exception without the frames before the application's own."""
    ours = os.path.dirname(__file__) + os.sep  # noqa: PTH120 - pathlib is large
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith((ours, "<frozen importlib")) and file != importlib.__file__:
            break
        trace = trace.tb_next
    return trace


def traceback_of(error: BaseException) -> str:
    """Format an exception that was raised during an import, from the application's own frame on."""
    import traceback

    return "".join(traceback.format_exception(type(error), error, users_traceback(error)))


def from_name(name: str) -> ModuleType:
    """Import a module by its dotted name, from the working directory too."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigurationError(f"{name!r} is no module's name; write pkg.module:app or path/file.py:app")
    here = os.getcwd()  # noqa: PTH109 - pathlib is large, and not every application needs it
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # The module itself or a package on the way to it is ours to explain, another the application's.
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigurationError(
                f"there is no module {name!r} here ({here}); check the name, or go to the project's directory"
            ) from None
        raise


def from_file(name: str) -> ModuleType:
    """Import a module by its file; its directory is on the path, as for a script."""
    from importlib import util
    from pathlib import Path

    path = Path(name).resolve()
    spec = util.spec_from_file_location(path.stem, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ConfigurationError(f"there is no file {name!r}; check the path")
    sys.path.insert(0, str(path.parent))
    module = util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def default(module: ModuleType, where: str) -> Any:
    """The application of a module that was named alone."""
    for name in NAMES:
        if hasattr(module, name):
            return getattr(module, name)
    raise ConfigurationError(f"{where!r} has neither 'application' nor 'app'; write {where}:NAME")


def evaluate(module: ModuleType, expression: str, where: str) -> Any:
    """A dotted name in a module, or a call of one."""
    if expression.isidentifier() and hasattr(module, expression):
        return getattr(module, expression)
    import ast

    try:
        node = ast.parse(expression, mode="eval").body
    except SyntaxError:
        node = None
    call = node if isinstance(node, ast.Call) else None
    name = node.func if isinstance(node, ast.Call) else node
    try:
        if not isinstance(name, (ast.Name, ast.Attribute)):
            raise ValueError
        arguments = [ast.literal_eval(argument) for argument in call.args] if call else []
        keywords = (
            {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg} if call else {}
        )
    except ValueError:
        raise ConfigurationError(
            f"{expression!r} is neither a name nor a call with literal arguments; write app or create_app()"
        ) from None
    found: Any = module
    for part in ast.unparse(name).split("."):
        if not hasattr(found, part):
            raise ConfigurationError(
                f"{where!r} has no {part!r}; it has {', '.join(callables(found)) or 'no callables'}"
            )
        found = getattr(found, part)
    return found(*arguments, **keywords) if call else found


def callables(holder: Any) -> list[str]:
    """Names that may have been meant."""
    names = [name for name in vars(holder) if not name.startswith("_")]
    return [name for name in names if callable(getattr(holder, name, None))][:8]
