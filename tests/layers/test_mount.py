"""Mount: each request gets to its application, and the application is told where it stands."""

from __future__ import annotations

import io
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from paste.urlmap import URLMap
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from onionskin import AllowAddresses, ConfigurationError, Errors, Mount, _core
from support.both_doors import serving
from support.client import ask
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from support.both_doors import Seen

    Through = Callable[..., Seen]


def named(name: str) -> Any:
    """An application that tells its name, and how it was called."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        told = f"{name} {environ.get('SCRIPT_NAME', '')}|{environ.get('PATH_INFO', '')}"
        return [told.encode("latin-1")]

    return application


def asked(app: Any, path: str, host: str = "example.org", script_name: str = "") -> bytes:
    """What an application answers through a plain WSGI call."""
    environ = make_environ("/", HTTP_HOST=host)
    environ["PATH_INFO"] = path
    environ["SCRIPT_NAME"] = script_name
    return run(app, environ).body


PATHS = [
    "",
    *["/", "/api", "/api/", "/api/x", "/apiary", "/api/v2", "/api/v2/x/y", "/api//v2", "//api", "/x/api"],
]


@pytest.mark.parametrize("script_name", ["", "/outer"])
@pytest.mark.parametrize("path", PATHS)
def test_it_dispatches_as_werkzeug_does(path: str, script_name: str) -> None:
    mounts = {"/api": named("api"), "/api/v2": named("v2"), "/x/y": named("xy")}
    theirs = DispatcherMiddleware(named("site"), mounts)
    ours = Mount(named("site"), mounts)
    assert asked(ours, path, script_name=script_name) == asked(theirs, path, script_name=script_name)


@pytest.mark.parametrize("host", ["example.org", "other.org:8080", "Other.ORG:80", "third.org:81"])
@pytest.mark.parametrize("path", ["/", "/foo", "/foo/", "/foo/bar/x", "/foobar", "/x"])
def test_it_dispatches_as_pastes_urlmap_does(path: str, host: str) -> None:
    routes: dict[Any, Any] = {
        "/foo": named("foo"),
        "/foo/bar": named("bar"),
        "http://example.org": named("example"),
        "http://third.org:81/foo": named("port"),
        ("other.org", "/foo"): named("other"),
        "": named("root"),
    }
    theirs = URLMap()
    for url, app in routes.items():
        theirs[url] = app
    assert asked(Mount(routes), path, host) == asked(theirs, path, host)


@pytest.mark.parametrize(
    ("target", "path_info", "query"),
    [
        ("/files%2Freport", "/report", ""),
        ("/files%2freport?x=%2F", "/report", "x=%2F"),
        ("/files%2F", "/", ""),
        ("/files%2F%2Freport", "//report", ""),
        ("/files/a%0d%0Ab", "/a\r\nb", ""),
    ],
)
def test_the_slash_below_a_mount_point_may_be_encoded(
    through: Through, target: str, path_info: str, query: str
) -> None:
    seen = through(lambda inside: Mount({"/files": inside}), target)
    assert seen.environ is not None
    assert (seen.environ["SCRIPT_NAME"], seen.environ["PATH_INFO"]) == ("/files", path_info)
    assert (seen.environ["QUERY_STRING"], seen.environ["REQUEST_URI"]) == (query, target)


QUERY = 'a\\b`c"d<e>f{g}h|i^j%zzm%00n?o'


@pytest.mark.parametrize("target", ["/files/x", "/files%2Fx", "/files"])
def test_a_query_stays_as_it_was_sent(through: Through, target: str) -> None:
    seen = through(lambda inside: Mount({"/files": inside}), f"{target}?{QUERY}")
    assert seen.environ is not None
    assert (seen.environ["QUERY_STRING"], seen.environ["REQUEST_URI"]) == (QUERY, f"{target}?{QUERY}")


def test_script_name_and_path_info_together_stay_what_they_were(through: Through) -> None:
    seen = through(lambda inside: Mount({"/caf\xe9": inside}), "/caf%C3%A9/a%20b")
    assert seen.environ is not None
    script_name, path_info = seen.environ["SCRIPT_NAME"], seen.environ["PATH_INFO"]
    assert (script_name, path_info) == ("/caf\xc3\xa9", "/a b")


def test_at_the_mount_point_the_path_is_empty(through: Through) -> None:
    seen = through(lambda inside: Mount({"/blog": inside}), "/blog?x=1")
    assert seen.environ is not None
    told = [seen.environ[key] for key in ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")]
    assert told == ["/blog", "", "x=1"]


def test_mounts_nest_and_layers_stand_around_targets(through: Through) -> None:
    def nested(inside: Any) -> Any:
        inner = Mount(
            {"/deep": AllowAddresses(inside, ["127.0.0.1", "::1"]), "/shut": AllowAddresses(inside, [])}
        )
        return Mount({"/a/b": inner})

    seen = through(nested, "/a/b/deep/x")
    assert seen.environ is not None
    assert (seen.environ["SCRIPT_NAME"], seen.environ["PATH_INFO"]) == ("/a/b/deep", "/x")
    assert through(nested, "/a/b/shut").status == 403
    assert through(nested, "/a/b").status == 404


def test_the_host_and_the_method_choose(through: Through) -> None:
    def sites(inside: Any) -> Any:
        return Mount({"*.example.org": inside, "PUT /up": inside})

    assert through(sites, headers=[("Host", "www.example.org")]).status == 200
    assert through(sites, headers=[("Host", "example.org")]).status == 404
    assert through(sites, "/up", method="PUT").status == 200
    assert through(sites, "/up").status == 404


def test_a_bare_mount_point_is_redirected_on_demand(through: Through) -> None:
    seen = through(lambda inside: Mount({"/blog": inside}, slash="redirect"), "/blog?a=%20b")
    assert (seen.status, seen.get("Location")) == (308, "/blog/?a=%20b")


def test_a_target_may_be_named() -> None:
    mount = Mount({"/plain": "doors.scripted:mounted"}, default="doors.scripted:application")
    assert run(mount, make_environ("/hello")).status == "200 OK"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"routes": {"/a": "doors.nowhere:app"}},
            "mount: routes./a: there is no module 'doors.nowhere' here",
        ),
        ({"routes": {"/a": 5}}, "mount: routes./a: 5 is no application; give a callable"),
        ({"routes": {"/a": named("a")}, "threads": {"/b": 1}}, 'mount: threads: "/b" is no route; '),
        ({"routes": {"/a": named("a"), "/a/": named("b")}}, 'mount: routes: "/a/" is there twice; '),
    ],
)
def test_what_is_wrong_is_refused_at_start_up(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Mount(**options)
    assert str(refused.value).startswith(expected)
    assert "\n" not in str(refused.value)


def test_it_can_be_had_from_the_command_line() -> None:
    mount = _core.layer_from_text(
        "mount:routes=/m=doors.scripted:application,//api.org=doors.scripted:mounted"
    )
    assert asked(mount, "/m/hello") == asked(mount, "/hello", "api.org") != b""


def test_a_stuck_application_leaves_its_neighbour_the_other_threads() -> None:
    gate = threading.Event()
    stuck = threading.Semaphore(0)

    def slow(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        stuck.release()
        gate.wait(30)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"slow"]

    with serving(Mount({"/slow": slow, "/quick": named("quick")}, threads={"/slow": 1}), threads=3) as place:
        clients = [threading.Thread(target=ask, args=(place, "/slow")) for _ in range(6)]
        for client in clients:
            client.start()
        try:
            assert stuck.acquire(timeout=10)
            before = time.monotonic()
            assert ask(place, "/quick/x").body == b"quick /quick|/x"
            assert time.monotonic() - before < 5
            assert not stuck.acquire(timeout=0.3), "one call at a time was allowed"
        finally:
            gate.set()
            for client in clients:
                client.join(30)
    assert not any(client.is_alive() for client in clients)


def test_an_exception_is_logged_with_the_whole_path_the_host_and_the_application():
    def raises(environ, start_response):
        raise ZeroDivisionError

    application = Errors(Mount({"/shop": raises, "/": raises}, names={"/shop": "shop"}))
    for path, expected in (
        ("/shop/caf%C3%A9/cart", "GET /shop/caf%C3%A9/cart (host example.org, application shop)"),
        ("/other", "GET /other (host example.org, application /)"),
    ):
        environ = make_environ("/", HTTP_HOST="example.org")
        environ["PATH_INFO"] = unquote(path, "latin-1")
        environ["wsgi.errors"] = errors = io.StringIO()
        list(application(environ, lambda status, headers, exc_info=None: None))
        assert errors.getvalue().splitlines()[0] == f"onionskin: the application raised on {expected}"


def test_a_name_is_one_of_a_route():
    with pytest.raises(
        ConfigurationError, match='names: "/blogg" is not one of the routes; expected "/blog"'
    ):
        Mount({"/blog": named("blog")}, names={"/blogg": "blog"})
