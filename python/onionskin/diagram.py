"""The onion as text: what is served, with its layers named, and where."""

from __future__ import annotations

from onionskin import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def skins(app: Any) -> list[str]:
    """The layers from the outside in, a line each; those of a mount stand behind their routes."""
    if not isinstance(app, _core.Layer):
        return [f"({name_of(app)})"]
    inside: list[str] = []
    for route, target in app.options.get("routes", {}).items():
        first, *rest = skins(target)
        inside += [f"{route} {first}", *rest]
    below = app.app if app.app is not None else app.options.get("default")
    if below is not None:
        inside += skins(below)
    if not inside:
        return [f"({app.name})"]
    lines = [f"({app.name}", *("  " + line for line in inside)]
    lines[-1] += ")"
    return lines


def name_of(app: Any) -> str:
    """A name for an application that its author would recognise."""
    if isinstance(app, str):
        return app
    own = getattr(app, "__qualname__", None)
    if own is None:
        app = type(app)
        own = app.__qualname__
    return f"{app.__module__}.{own}" if getattr(app, "__module__", None) else str(own)


def diagram(app: Any, bound: Sequence[str], threads: int, workers: int = 0) -> str:
    """The onion, outermost layer first.

    onionskin 0.1.0 on http://127.0.0.1:8000, 4 threads
    (allow_addresses
      (mount
        /blog (blog.app)
        (mysite.wsgi.application)))
    """
    whole = ("unix:", "https:", "redirect:")
    places = ", ".join(place if place.startswith(whole) else f"http://{place}" for place in bound)
    calls = "1 thread" if threads == 1 else f"{threads} threads"
    if workers:
        calls = f"{workers} workers, {calls} each" if workers > 1 else f"1 worker, {calls}"
    return "\n".join([f"onionskin {_core.__version__} on {places}, {calls}", *skins(app)])
