"""The onion as text: what is served, with its layers named, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onionskin import _core

if TYPE_CHECKING:
    from collections.abc import Sequence


def skins(app: Any) -> tuple[list[str], Any]:
    """The names of the layers around an application, from the outside in, and the application itself."""
    names = []
    while isinstance(app, _core.Layer) and app.app is not None:
        names.append(app.name)
        app = app.app
    return names, app


def name_of(app: Any) -> str:
    """A name for an application that its author would recognise."""
    own = getattr(app, "__qualname__", None)
    if own is None:
        app = type(app)
        own = app.__qualname__
    return f"{app.__module__}.{own}" if getattr(app, "__module__", None) else str(own)


def diagram(app: Any, bound: Sequence[str], threads: int) -> str:
    """The onion, outermost layer first.

    onionskin 0.1.0 on http://127.0.0.1:8000, 4 threads
    (allow_addresses
      (request_id
        (mysite.wsgi.application)))
    """
    names, leaf = skins(app)
    places = ", ".join(place if place.startswith("unix:") else f"http://{place}" for place in bound)
    calls = "1 thread" if threads == 1 else f"{threads} threads"
    lines = [f"onionskin {_core.__version__} on {places}, {calls}"]
    for depth, name in enumerate([*names, name_of(leaf)]):
        lines.append("  " * depth + "(" + name)
    lines[-1] += ")" * (len(names) + 1)
    return "\n".join(lines)
