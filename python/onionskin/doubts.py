"""Probable mistakes in an onion that can be served: layers without effect, and layers that stand twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from onionskin.explaining import is_native, layer_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Step(NamedTuple):
    """A layer that a request goes through."""

    name: str
    options: Mapping[str, Any]
    place: str = ""
    """Where it was given, if a file did."""
    route: str | None = None
    """The route of a mount that leads further on; None for requests that no route takes."""
    inside: bool = True
    """Whether there is something inside it."""


Way = list[Step]


def ways(app: Any, around: tuple[Any, ...] = (), outside: tuple[Step, ...] = ()) -> Iterator[Way]:
    """Yield the layers of each way through an onion, the outermost first."""
    steps = [*outside]
    while is_native(app):
        around, options = (*around, app), app.options
        for route, target in options.get("routes", {}).items():
            yield from ways(target, around, (*steps, Step(app.name, options, route=route)))
        inside = app.app if app.app is not None else options.get("default")
        steps.append(Step(app.name, options, inside=inside is not None))
        app = inside
    held = None if isinstance(app, str) or app is None else layer_in(app, around)
    if held is None:
        yield steps
    else:
        yield from ways(held, around, tuple(steps))


def ways_described(data: Mapping[str, Any]) -> Iterator[Way]:
    """Yield the ways through the onion that a configuration describes, without the applications."""

    def steps(layers: list[dict[str, Any]]) -> Way:
        return [Step(layer["use"], layer["options"], layer["from"]) for layer in layers]

    outside, mounts = steps(data["layers"]), data["mounts"]
    options = data["dispatch"]["options"] if data["dispatch"] else {}
    for mount in mounts:
        route = mount["route"].rpartition(" ")[2]
        inner = [*steps(mount["layers"])]
        if inner and mount["application"] is None:
            inner[-1] = inner[-1]._replace(inside=False)
        yield [*outside, Step("mount", options, mount["from"], route), *inner]
    has_application = data["application"] is not None
    if not mounts:
        if outside and not has_application:
            outside[-1] = outside[-1]._replace(inside=False)
        yield outside


Doubt = tuple[str, str]
"""Where something was given, if a file did, and what is wrong with it."""


def doubts(way: Way) -> Iterator[Doubt]:
    """Yield what is probably a mistake on one way."""
    yield from hidden(way)
    yield from twice(way)
    yield from repeated_prefixes(way)


def hidden(way: Way) -> Iterator[Doubt]:
    """Yield the first layer that answers every request although something is inside it."""
    for at, step in enumerate(way):
        if not step.inside or is_conditional(step) or step.route is not None:
            continue
        is_catching = step.name == "mount" and any(
            covers_all(route) for route in step.options.get("routes", {})
        )
        if is_catching or step.name in ("proxy", "balance") or is_final_folder(step):
            inner = [inner.name for inner in way[at + 1 :]]
            named = f"{', '.join(inner)} and the application" if inner else "the application"
            wrong = (
                f"{step.name} answers every request: {named} inside it cannot be reached; give it a match, "
                "or remove what is inside"
            )
            yield step.place, wrong
            return


def is_final_folder(step: Step) -> bool:
    return (
        step.name == "static_files"
        and step.options.get("fallthrough") is False
        and not step.options.get("prefix")
    )


def covers_all(route: str) -> bool:
    """Whether a route is for all requests: any host, any method."""
    return route == "/"


def twice(way: Way) -> Iterator[Doubt]:
    """Yield the layers that a request goes through twice to no effect."""
    for at, step in enumerate(way):
        for other in way[:at]:
            if step.name != other.name or step.name == "mount":
                continue
            is_same = dict(step.options) == dict(other.options)
            is_single = step.name in SINGLE and not is_conditional(step) and not is_conditional(other)
            if is_same or is_single:
                yield step.place, f"{step.name} stands twice around the same application; remove one of them"
                break


SINGLE = ("compress", "request_id")
"""Layers of which the second one has nothing to do, whatever its options are."""


def repeated_prefixes(way: Way) -> Iterator[Doubt]:
    """Yield the folders whose prefix repeats the path that their mount has already removed."""
    mounted = ""
    for step in way:
        if step.name == "mount" and step.route is not None and step.options.get("strip", True):
            path = step.route.find("/")
            mounted = step.route[path:].rstrip("/") if path >= 0 else mounted
        prefix = str(step.options.get("prefix", "")).rstrip("/")
        if step.name == "static_files" and mounted and (prefix + "/").startswith(mounted + "/"):
            wrong = (
                f"static_files: prefix: {prefix!r} repeats the path of its mount, so files are at "
                f"{mounted}{prefix}/; remove prefix, because the mount has removed its path already"
            )
            yield step.place, wrong


def is_conditional(step: Step) -> bool:
    """Whether a layer is there for some requests only."""
    return bool(step.options.get("match") or step.options.get("unless"))


def too_many_threads(data: Mapping[str, Any], app: Any = None) -> Iterator[str]:
    """Yield the bounds on calls of one application that are above the server's own."""
    most: int = data["server"]["threads"]["value"]
    told = f"is above the server's {most}, and has no effect; lower it, or raise the server's threads"
    seen = set()
    for described in data["applications"]:
        if (described["threads"] or 0) > most:
            place = described["places"].get("threads", described["from"])
            yield f"{place}: application.{described['name']}: threads: {described['threads']} {told}"
    for mount in data["mounts"]:
        seen.add(mount["route"])
        if (mount["threads"] or 0) > most:
            yield f"{mount['from']}: mount: threads: {mount['threads']} {told}"
    for step in (step for way in (ways(app) if app is not None else ()) for step in way):
        for route, threads in dict(step.options.get("threads") or {}).items() if step.name == "mount" else ():
            # An application with threads of its own is inside a mount of that kind (building.bounded).
            if route not in seen and list(step.options.get("routes", {})) != ["/"] and int(threads) > most:
                yield f"mount: {route}: threads: {threads} {told}"
