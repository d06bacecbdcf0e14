"""From the data of a configuration to the onion: applications are imported, layers put around them."""

from __future__ import annotations

from functools import partial

from onionskin import _core, interface
from onionskin.applications import Applications, directory_of
from onionskin.configuration import placed
from onionskin.target import load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from _typeshed.wsgi import WSGIApplication

    Described = dict[str, Any]


def build(
    data: Mapping[str, Any],
    app: WSGIApplication | str | None = None,
    find: Callable[[str], WSGIApplication] = load,
) -> WSGIApplication:
    """The onion that a configuration describes.

    Args:
        data: The data of a configuration.
        app: The application, or its name, in the place of the one that is described.
        find: Finds an application by its name.

    Raises:
        ConfigurationError: A layer's option is wrong, or there is no application.
    """
    applications = Applications(data, find)
    if app is None and data["application"] is not None:
        app = data["application"]["value"]
    if isinstance(app, str):
        app = applications(app)
    if data["mounts"]:
        app = mounted(data, app, applications)
    interface.check_threads()
    missing = "there is no application"
    if names := ", ".join(applications.named):
        missing += f" for all requests ({names} can be mounted, or named)"
    return around(data["layers"], app, missing)


def mounted(
    data: Mapping[str, Any], default: WSGIApplication | None, applications: Applications
) -> _core.Layer:
    """The mounts of a configuration side by side, before the application."""
    options: dict[str, Any] = {"routes": {}, "threads": {}, "names": {}}
    for mount in data["mounts"]:
        target, route = mount["application"], mount["route"]
        app = None if target is None else applications(target)
        options["routes"][route] = around(
            mount["layers"], app, f"{mount['from']}: {route} has no application"
        )
        if target is not None:
            options["names"][route] = target
        threads = mount["threads"] or applications.mounted_threads(target)
        if threads is not None:
            options["threads"][route] = threads
    if default is not None:
        options["default"] = default
    dispatch = data["dispatch"] or {"options": {}, "from": data["mounts"][0]["from"], "places": {}}
    places = {**dispatch["places"], "routes": data["mounts"][0]["from"]}
    described = {"use": "mount", "options": {**dispatch["options"], **options}, "places": places}
    return layer({**described, "from": dispatch["from"]})


def around(layers: Sequence[Described], app: WSGIApplication | None, missing: str) -> WSGIApplication:
    """The layers, the outermost first, around an application; without one, the innermost is one by itself."""
    made: list[_core.Layer] = [layer(described) for described in layers]
    if app is None:
        if not made or not stands_alone(made[-1]):
            way_out = 'name one, or write application = "pkg.module:app" into onion.toml'
            raise _core.ConfigurationError(f"{missing}; {way_out}")
        app = made.pop()
    return _core.Onion(*made)(app)


def stands_alone(made: _core.Layer) -> bool:
    """Whether a layer is an application by itself."""
    return any(row["name"] == made.name and row["stands_alone"] for row in _core.declarations())


def check(data: Mapping[str, Any], options: Mapping[str, Any] | None = None) -> None:
    """Refuse layers and directories that are wrong, without importing an application.

    Args:
        data: The data of a configuration.
        options: The server's options, to be checked with them.

    Raises:
        ConfigurationError: A line for each problem, in the order of the file.
    """
    problems: list[str] = []

    def attempt(step: Callable[[], object]) -> None:
        try:
            step()
        except _core.ConfigurationError as error:
            problems.extend(str(error).splitlines())

    def check_options() -> None:
        try:
            _core.Server.check(dict(options or {}))
        except _core.ConfigurationError as error:
            raise placed(data, error) from None

    if options is not None:
        attempt(check_options)
    for application in data["applications"]:
        attempt(partial(directory_of, application))
    for described in [*data["layers"], *(one for mount in data["mounts"] for one in mount["layers"])]:
        attempt(partial(check_layer, described))
    if problems:
        raise _core.ConfigurationError("\n".join(sorted(dict.fromkeys(problems), key=partial(line_of, data))))


def line_of(data: Mapping[str, Any], problem: str) -> int:
    """Return the line of the file that a problem is in; 0 if it is elsewhere."""
    file, number, _ = [*problem.split(":", 2), "", ""][:3]
    return int(number) if file == data["file"] and number.isdecimal() else 0


def layer(described: Described) -> _core.Layer:
    """The layer that is described, with nothing inside."""
    try:
        return _core.Layer(None, described["use"], described["options"])
    except _core.ConfigurationError as error:
        raise _core.ConfigurationError(placed_in(described, str(error))) from None


def check_layer(described: Described) -> None:
    """Reject a layer that is wrong, with a line for each of its problems."""
    problems = _core.layer_problems(described["use"], described["options"])
    if problems:
        raise _core.ConfigurationError("\n".join(placed_in(described, problem) for problem in problems))


def placed_in(described: Described, problem: str) -> str:
    """A layer's problem with its place in front."""
    # It begins with the layer, and then has the option, where it is about one.
    about = problem.removeprefix(f"{described['use']}: ").split(":")[0].split("[")[0].split(".")[0]
    return f"{described['places'].get(about, described['from'])}: {problem}"
