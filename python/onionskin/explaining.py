"""``onionskin explain``: the onion from the outside in; what of it runs natively, what in Python, and why.

A layer of ours runs natively if only such layers stand around it. Behind Python middleware it runs as WSGI
middleware, within that one's call.
"""

from __future__ import annotations

import types
from collections import deque
from typing import TYPE_CHECKING, Any

from onionskin import _core
from onionskin.diagram import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

Row = tuple[int, str, str]
"""How deep something stands, what it is, and how it runs."""

Around = tuple[Any, ...]
"""The layers that stand around something."""

NEEDS = {
    "session": "native; what the application reads and changes becomes a Python mapping when it does",
    "xslt": "native; the stylesheets run in Python's lxml, for the responses that they are for",
}
"""What our layers need of Python, where they need it."""


def explained(app: Any) -> str:
    """The onion as text."""
    rows = list(rows_of(app))
    width = max(2 * depth + len(name) for depth, name, _ in rows)
    return "\n".join(f"{'  ' * depth + name:{width}}  {how}".rstrip() for depth, name, how in rows)


def rows_of(app: Any, depth: int = 0, within: str = "", around: Around = ()) -> Iterator[Row]:
    """The rows of what is served.

    ``within`` names the Python callable that stands around it, ``around`` has all of our layers that do.
    """
    if is_native(app):
        yield depth, app.name, how_it_runs(app, within)
        yield from rows_inside(app, depth, within, (*around, app))
    elif isinstance(app, str):
        yield depth, app, "Python"
    else:
        held = layer_in(app, around)
        why = "its class has a __call__ of its own" if isinstance(app, _core.Layer) else "a WSGI application"
        yield depth, name_of(app), f"Python: {why if held is None else 'it stands around layers'}"
        if held is not None:
            yield from rows_of(held, depth + 1, name_of(app), around)


def rows_inside(app: _core.Layer, depth: int, within: str, around: Around) -> Iterator[Row]:
    """The rows of what stands inside one of our layers."""
    for route, target in app.options.get("routes", {}).items():
        yield depth + 1, route, ""
        yield from rows_of(target, depth + 2, within, around)
    below = app.app if app.app is not None else app.options.get("default")
    if below is not None:
        routed = "routes" in app.options
        if routed:
            yield depth + 1, "otherwise", ""
        yield from rows_of(below, depth + 2 if routed else depth + 1, within, around)


def how_it_runs(layer: _core.Layer, within: str) -> str:
    """How one of our layers runs, and why not natively."""
    if within:
        return f"as WSGI middleware: {within} stands around it; put it outside to run it natively"
    return NEEDS.get(layer.name, "native")


def is_native(app: Any) -> bool:
    """Whether it is one of our layers, and its class has left the call to us."""
    return isinstance(app, _core.Layer) and type(app).__call__ is _core.Layer.__call__


def layer_in(app: Any, around: Around) -> _core.Layer | None:
    """The nearest of our layers that a Python callable holds, in its attributes or its closure.

    Those that stand around it do not count: an application may well know its own onion.
    """
    ahead, seen = deque([(app, 0)]), {id(app), *map(id, around)}
    while ahead:
        holder, depth = ahead.popleft()
        for held in held_by(holder):
            if id(held) in seen:
                continue
            seen.add(id(held))
            if isinstance(held, _core.Layer):
                return held
            if depth < DEPTH and callable(held):
                ahead.append((held, depth + 1))
    return None


def held_by(holder: Any) -> list[Any]:
    """What an object refers to that may be called for it."""
    if isinstance(holder, (type, types.ModuleType)):
        return []
    held = list(getattr(holder, "__dict__", {}).values())
    held += [getattr(holder, "__self__", None), getattr(holder, "__wrapped__", None)]
    for cell in getattr(holder, "__closure__", None) or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:  # it is not filled yet
            continue
    return held


DEPTH = 4
"""How many callables are looked through for one of our layers."""


def layer_names(app: Any, around: Around = ()) -> Iterator[list[str]]:
    """The names of the layers that requests go through, from the outside in: a list for each way there is."""
    names: list[str] = []
    while is_native(app):
        names.append(app.name)
        around = (*around, app)
        # What is mounted has layers of its own, on purpose; and so has what answers all other requests.
        for target in [*app.options.get("routes", {}).values(), app.options.get("default")]:
            yield from layer_names(target, around)
        app = app.app
    yield names
    held = None if isinstance(app, str) or app is None else layer_in(app, around)
    if held is not None:
        yield from layer_names(held, around)
