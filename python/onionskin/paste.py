"""The entry points for PasteDeploy: what an ``.ini`` file means by ``use = egg:onionskin#NAME``.

    [server:main]
    use = egg:onionskin
    listen = 127.0.0.1:6543

    [filter:compress]
    use = egg:onionskin#compress
    min_size = 1KiB

    [composite:main]
    use = egg:onionskin#mount
    / = site
    /blog = blog

Texts become values by the options' declarations, as on the command line. PasteDeploy itself is not imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onionskin import _core
from onionskin.building import build
from onionskin.configuration import read
from onionskin.serving import serve_onion, workers_asked_for

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed.wsgi import WSGIApplication

    Serve = Callable[[WSGIApplication], bool]
    Filter = Callable[[WSGIApplication], WSGIApplication]


def server(global_conf: Mapping[str, str], **options: str) -> Serve:
    """A ``[server:...]``: the server's options, with ``listen``, ``host``, ``port`` and ``unix_socket`` too.

    The file is this one: neither ``onion.toml`` nor the environment is read.
    """
    arguments: dict[str, Any] = with_places(options)
    data = read(config=False, arguments=arguments).data
    if asked := workers_asked_for(data):
        way_out = (
            "take the line out, or have a module call paste.deploy.loadapp, and run onionskin serve MODULE"
        )
        raise _core.ConfigurationError(
            f"{asked}: an application is handed over here, and workers import theirs; {way_out}"
        )

    def serve(app: WSGIApplication) -> bool:
        return serve_onion(build(data, app), data)

    return serve


def with_places(options: Mapping[str, str]) -> dict[str, Any]:
    """The options of other servers that say where to listen, as ``bind``."""
    rest: dict[str, Any] = dict(options)
    places = [place_of(place) for place in rest.pop("listen", "").replace(",", " ").split()]
    host, port = rest.pop("host", ""), rest.pop("port", "")
    if host or port:
        host = f"[{host}]" if ":" in host.strip("[]") and not host.startswith("[") else host
        places.append(place_of(f"{host or '127.0.0.1'}:{port or '8080'}"))
    if socket := rest.pop("unix_socket", ""):
        places.append(f"unix:{socket}")
    if places and "bind" in rest:
        raise _core.ConfigurationError("bind: listen, host and port say the same; keep one of them")
    return {**rest, "bind": places} if places else rest


def place_of(text: str) -> str:
    """A place as ``bind`` has it: ``*`` stands for all addresses, and 8080 for a port that is not there."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, "8080"
    return f"{'' if host == '*' else host}:{port}"


def mount(loader: Any, global_conf: Mapping[str, str], **options: str) -> _core.Layer:
    """A ``[composite:...]``: applications of the file by their routes, and the options of the layer.

    It takes what Paste's ``urlmap`` takes: ``/blog = blog``, ``domain example.org = site``,
    ``not_found_app``.
    """
    known = next(row for row in _core.declarations() if row["name"] == "mount")["schema"]["properties"]
    names = {*known, "match", "unless"} - {"routes"}
    default = options.pop("default", options.pop("not_found_app", None))
    texts = {name: text for name, text in options.items() if name.partition(".")[0] in names}
    routes = {route_of(key): target for key, target in options.items() if key not in texts}
    made = {route: loader.get_app(target, global_conf=global_conf) for route, target in routes.items()}
    given = {**_core.options_from_texts("mount", texts), "routes": made}
    if default is not None:
        given["default"] = loader.get_app(default, global_conf=global_conf)
    return _core.Layer(None, "mount", given)


def route_of(key: str) -> str:
    """A route as ``mount`` has it: ``example.org:80/blog`` for ``domain example.org port 80 /blog``."""
    words = key.removeprefix("domain ")
    return key if words == key else words.replace(" port ", ":").replace(" ", "")


def filter_of(name: str) -> Callable[..., Filter]:
    """What makes a ``[filter:...]`` of a layer."""

    def factory(global_conf: Mapping[str, str], **options: str) -> Filter:
        return _core.Layer(None, name, _core.options_from_texts(name, options))

    return factory


def __getattr__(name: str) -> Any:
    """``compress_filter`` and the like, and ``static_files_app`` for layers that answer by themselves."""
    layer, _, kind = name.rpartition("_")
    rows = {row["name"]: row for row in _core.declarations()}
    if layer in rows and (kind == "filter" or (kind == "app" and rows[layer]["stands_alone"])):
        return filter_of(layer)
    raise AttributeError(name)
