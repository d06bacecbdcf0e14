"""Applications by the names that a configuration gives them, each found once; or else by their targets."""

from __future__ import annotations

import os
import sys

from onionskin import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from _typeshed.wsgi import WSGIApplication

    Described = Mapping[str, Any]


class Applications:
    """Finds them. The environment that they want is there from the beginning, whichever is imported first."""

    def __init__(self, data: Mapping[str, Any], find: Callable[[str], WSGIApplication]) -> None:
        self.data = data
        self.find = find
        self.named: dict[str, Described] = {
            described["name"]: described for described in data["applications"]
        }
        self.found: dict[str, WSGIApplication] = {}
        for described in self.named.values():
            os.environ.update(described["environment"])

    def __call__(self, name: str) -> WSGIApplication:
        """The application of this name or target."""
        described = self.named.get(name)
        if described is None:
            return self.find(name)
        if name not in self.found:
            app = self.imported(described)
            threads = self.threads_of(described)
            # Where it is mounted only once, its mount has the bound.
            self.found[name] = app if threads is None else bounded(app, name, threads)
        return self.found[name]

    def imported(self, described: Described) -> WSGIApplication:
        """The application itself, out of its own directory."""
        directory, target = directory_of(described), described["target"]
        if directory is None:
            return self.find(target)
        sys.path.insert(0, str(directory))
        where, colon, name = target.partition(":")
        if where.endswith(".py"):
            return self.find(f"{directory / where}{colon}{name}")
        app = self.find(target)
        file = getattr(sys.modules.get(where), "__file__", None)
        if file is not None and directory not in type(directory)(file).resolve().parents:
            wrong = (
                f"target: its module {where} is {file}, and not in {directory}; give one of them another name"
            )
            raise refused(described, "target", wrong)
        return app

    def threads_of(self, described: Described) -> int | None:
        """How many calls it may have at once, if its mount does not say so for it."""
        threads: int | None = described["threads"]
        return None if self.mounted_threads(described["name"]) is not None else threads

    def mounted_threads(self, name: str | None) -> int | None:
        """How many calls a mount of the application allows by itself: if no other way leads to it."""
        described = self.named.get(name) if name is not None else None
        if described is None or described["threads"] is None or len(list(self.uses_of(name))) != 1:
            return None
        is_mounted = any(mount["application"] == name for mount in self.data["mounts"])
        return described["threads"] if is_mounted else None

    def uses_of(self, name: str | None) -> Iterator[str | None]:
        """Where the application is named, one for each."""
        given = self.data["application"]
        names = [mount["application"] for mount in self.data["mounts"]]
        names += [given["value"]] if given is not None else []
        return (used for used in names if used == name)


def bounded(app: WSGIApplication, name: str, threads: int) -> WSGIApplication:
    """Limits the calls into an application that run at once, however many routes lead to it."""
    options = {"routes": {"/": app}, "threads": {"/": threads}, "names": {"/": name}}
    return _core.Layer(None, "mount", options)


def directory_of(described: Described) -> Path | None:
    """Where its module is, if that was said.

    Raises:
        ConfigurationError: There is no such directory.
    """
    if described["directory"] is None:
        return None
    from pathlib import Path  # which is large, and not every application needs it

    directory = Path(described["directory"]).resolve()
    if not directory.is_dir():
        raise refused(described, "directory", f"directory: there is no directory {directory}; check the path")
    return directory


def refused(described: Described, option: str, wrong: str) -> _core.ConfigurationError:
    """The refusal of one application, with its line."""
    place = described["places"].get(option, described["from"])
    return _core.ConfigurationError(f"{place}: application.{described['name']}: {wrong}")


def unused(data: Mapping[str, Any]) -> Iterator[str]:
    """The names of applications that no request reaches."""
    used = {mount["application"] for mount in data["mounts"]}
    used |= {data["application"]["value"]} if data["application"] is not None else set()
    return (described["name"] for described in data["applications"] if described["name"] not in used)
