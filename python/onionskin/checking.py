"""``onionskin check``: what can be known of a configuration without serving."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from onionskin import _core
from onionskin.applications import unused
from onionskin.building import build, check
from onionskin.configuration import placed, server_options
from onionskin.explaining import layer_names
from onionskin.target import load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from _typeshed.wsgi import WSGIApplication


def warnings(
    data: Mapping[str, Any], *, imports: bool = True, find: Callable[[str], WSGIApplication] = load
) -> list[str]:
    """What is likely not meant in a configuration, a line each.

    Args:
        data: The data of a configuration.
        imports: Whether applications are imported, and the whole onion is built. If not, what their own
            modules put around them is not seen.
        find: Finds an application by its name.

    Raises:
        ConfigurationError: It could not be served.
    """
    options = server_options(data)
    for place in options["bind"]:
        check_place(place)
    try:
        _core.Server.check(options)
    except _core.ConfigurationError as error:
        raise placed(data, error) from None
    ways = layer_names(build(data, find=find)) if imports else described(data)
    found = [line for names in ways for line in misplaced(names)]
    found += [
        f"application.{name} is neither mounted nor named: no request reaches it" for name in unused(data)
    ]
    return list(dict.fromkeys(found))


def check_place(place: str) -> None:
    """Refuse a Unix socket that has no directory to be in."""
    path = place.removeprefix("unix:")
    if path != place and not path.startswith("@") and not Path(path).parent.is_dir():
        raise _core.ConfigurationError(f"bind: {place}: there is no directory {Path(path).parent}; make it")


def described(data: Mapping[str, Any]) -> Iterator[list[str]]:
    """The layers of a configuration, each made by itself, without the applications that they may name."""
    check(data)
    outermost = data["layers"]
    for layers in [outermost, *(mount["layers"] for mount in data["mounts"])]:
        names = [described["use"] for described in layers]
        yield [*names, "mount"] if data["mounts"] and layers is outermost else names


def misplaced(names: list[str]) -> list[str]:
    """The layers that stand too far inside, in words."""
    found = _core.misplaced(names)
    return [f"{inside} should stand outside {outside}: {reason}" for inside, outside, reason in found]
