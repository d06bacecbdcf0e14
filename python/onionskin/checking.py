"""``onionskin check``: what can be known of a configuration without serving."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from onionskin import _core
from onionskin.applications import unused
from onionskin.building import build, check, line_of
from onionskin.configuration import placed, server_options
from onionskin.doubts import doubts, too_many_threads, ways, ways_described
from onionskin.explaining import layer_names
from onionskin.places import unusable
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
    problems: list[str] = []
    try:
        check(data, options)
    except _core.ConfigurationError as error:
        problems += str(error).splitlines()
    for option, reason in unusable(options):
        problems.append(str(placed(data, _core.ConfigurationError(f"{option}: {reason}"))))
    if problems:
        raise _core.ConfigurationError("\n".join(sorted(problems, key=partial(line_of, data))))
    app = build(data, find=find) if imports else None
    found = [
        line for names in (described(data) if app is None else layer_names(app)) for line in misplaced(names)
    ]
    written = [doubt for way in ways_described(data) for doubt in doubts(way)]
    found += [f"{place}: {wrong}" if place else wrong for place, wrong in written]
    if app is not None:
        # The same layers again, without their lines, and those that modules put around their applications.
        told = {wrong for _, wrong in written}
        found += [wrong for way in ways(app) for _, wrong in doubts(way) if wrong not in told]
    found += too_many_threads(data, app)
    found += [
        f"application.{name} is neither mounted nor named: no request reaches it" for name in unused(data)
    ]
    return list(dict.fromkeys(found))


def described(data: Mapping[str, Any]) -> Iterator[list[str]]:
    """The names of the layers of a configuration, without the applications that they may name."""
    outermost = data["layers"]
    for layers in [outermost, *(mount["layers"] for mount in data["mounts"])]:
        names = [described["use"] for described in layers]
        yield [*names, "mount"] if data["mounts"] and layers is outermost else names


def misplaced(names: list[str]) -> list[str]:
    """The layers that stand too far inside, in words."""
    found = _core.misplaced(names)
    return [f"{inside} should stand outside {outside}: {reason}" for inside, outside, reason in found]
