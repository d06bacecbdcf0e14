"""The stage for the scripted application: how a script is named, and what is counted while it runs.

The query may hold ``key`` (under which things are counted, see ``/counts``) and ``gate``
(see support/gate.py).
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    App = Callable[[dict[str, Any], Any], Iterable[bytes]]

TEXT = ("Content-Type", "text/plain")
PLAIN = [TEXT]
SCRIPTS: dict[str, App] = {}


def script(app: App) -> App:
    """Puts an application under its own name."""
    SCRIPTS[app.__name__.rstrip("_")] = app
    return app


def query(environ: dict[str, Any]) -> dict[str, str]:
    """The parameters."""
    return dict(parse_qsl(environ.get("QUERY_STRING", "")))


class Tally:
    """Counts by key and name, and waits for counts."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.changed = threading.Condition()

    def add(self, environ: dict[str, Any], name: str) -> None:
        """One more."""
        with self.changed:
            self.counts.setdefault(query(environ).get("key", ""), Counter())[name] += 1
            self.changed.notify_all()

    def once(self, key: str, name: str) -> dict[str, int]:
        """The counts of ``key``, as soon as ``name`` is among them, or when time is up."""
        with self.changed:
            self.changed.wait_for(lambda: not name or self.counts.get(key, Counter())[name], timeout=5)
            return dict(self.counts.get(key, Counter()))


tally = Tally()


class Counted:
    """An iterable that is not its own iterator. Counts what is done to it."""

    def __init__(self, environ: dict[str, Any], blocks: Iterable[bytes]) -> None:
        self.environ = environ
        self.blocks = blocks

    def __iter__(self) -> CountedSteps:
        tally.add(self.environ, "iterated")
        return CountedSteps(self)

    def close(self) -> None:
        """To be called once."""
        tally.add(self.environ, "closed")


class CountedSteps:
    """The iterator of ``Counted``."""

    def __init__(self, whole: Counted) -> None:
        self.whole = whole
        self.rest = iter(whole.blocks)

    def __iter__(self) -> CountedSteps:
        return self

    def __next__(self) -> bytes:
        return next(self.rest)

    def close(self) -> None:
        """Not to be called."""
        tally.add(self.whole.environ, "iterator closed")
