"""A Pyramid site in our layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPFound, HTTPUnauthorized
from pyramid.response import FileResponse, Response
from pyramid.session import SignedCookieSessionFactory

from onionskin import AllowAddresses, RequestId
from support.gate import wait_at

if TYPE_CHECKING:
    from collections.abc import Iterator


def hello(request: Any) -> Response:
    return Response(f"Hello, {request.matchdict['name']}!")


def request_id(request: Any) -> dict[str, Any]:
    return {"id": request.environ["onionskin.request_id"]}


def stream(request: Any) -> Response:
    def blocks() -> Iterator[bytes]:
        yield b"first|"
        yield b"second" if wait_at(int(request.params["gate"])) else b"nobody came"

    return Response(app_iter=blocks(), content_type="text/plain")


def upload(request: Any) -> dict[str, Any]:
    sent = request.POST["file"]
    content = sent.file.read()
    return {"name": sent.filename, "size": len(content), "sum": sum(content)}


def log_in(request: Any) -> HTTPFound:
    request.session["user"] = request.params["user"]
    return HTTPFound(location=request.route_url("whoami"))


def whoami(request: Any) -> dict[str, Any]:
    return {"user": request.session.get("user")}


def file(request: Any) -> FileResponse:
    return FileResponse(__file__, request=request, content_type="text/plain")


def refuse(request: Any) -> Response:
    raise HTTPUnauthorized


def make_app() -> Any:
    """The site without layers."""
    with Configurator() as config:
        config.set_session_factory(SignedCookieSessionFactory("only for tests"))
        for name, path, view in (
            ("hello", "/hello/{name}", hello),
            ("stream", "/stream", stream),
            ("log_in", "/log-in", log_in),
            ("file", "/file", file),
            ("refuse", "/refuse", refuse),
        ):
            config.add_route(name, path)
            config.add_view(view, route_name=name)
        for name, path, view in (
            ("id", "/id", request_id),
            ("upload", "/upload", upload),
            ("whoami", "/whoami", whoami),
        ):
            config.add_route(name, path)
            config.add_view(view, route_name=name, renderer="json")
        return config.make_wsgi_app()


application = RequestId(AllowAddresses(make_app(), ["127.0.0.1"]))
