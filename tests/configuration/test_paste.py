"""PasteDeploy: an `.ini` file runs under onionskin, in its layers, by its `use =` lines."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

import pytest

from onionskin import ConfigurationError, _core, paste
from server.process import Process
from support.wsgi import Outcome, make_environ, run

if TYPE_CHECKING:
    from pathlib import Path

deploy = pytest.importorskip("paste.deploy")

SITE = """
def main(global_config, **settings):
    from pyramid.config import Configurator
    from pyramid.response import Response

    with Configurator(settings=settings) as config:
        config.add_route("home", "/")
        config.add_view(lambda request: Response(settings["greeting"] * 400), route_name="home")
        return config.make_wsgi_app()

def plain(global_config, text="plain"):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{text} {environ['SCRIPT_NAME']!r}".encode()]
    return application
"""

PYRAMID = """
[app:site]
use = call:paste_site:main
greeting = Hello
pyramid.reload_templates = true

[filter:compress]
use = egg:onionskin#compress
encodings = gzip
min_size = 100

[filter:id]
use = egg:onionskin#request_id
header = x-id

[pipeline:main]
pipeline = id compress site

[server:main]
use = egg:onionskin#main
{place}
threads = 2
"""


def ask(app: Any, path: str, **changes: Any) -> Outcome:
    """One request."""
    return run(app, make_environ(path, **changes))


@pytest.fixture
def ini(project: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes an `.ini` file beside a Pyramid site."""
    (project / "paste_site.py").write_text(SITE)
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.delitem(sys.modules, "paste_site", raising=False)

    def write(text: str) -> Path:
        path = project / "site.ini"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize(
    "place", ["listen = 127.0.0.1:0", "host = 127.0.0.1\nport = 0", "bind = 127.0.0.1:0"]
)
def test_pserve_serves_a_pyramid_site_by_its_ini(ini, project, place):
    from support.client import ask as get

    ini(PYRAMID.format(place=place))
    command = "import sys; sys.path.insert(0, '.'); from pyramid.scripts.pserve import main; sys.exit(main())"
    served = Process([sys.executable, "-c", command, "site.ini"], project)
    try:
        announced = served.wait_for_line(r"^onionskin \S+ on ")
        assert announced.endswith(", 2 threads")
        port = int(announced.split("127.0.0.1:")[1].partition(",")[0])
        reply = get(("127.0.0.1", port), headers=[("Accept-Encoding", "gzip")])
        served.signal()
        assert served.wait() == 0
    finally:
        served.kill()

    assert (reply.status, reply.get("content-encoding")) == (200, "gzip")
    assert reply.get("x-id")


COMPOSITE = """
[composite:main]
use = egg:onionskin#mount
/ = site
/blog = blog
domain api.example.org port 80/v1 = blog
*.example.net = blog
slash = redirect

[app:site]
use = call:paste_site:plain

[app:blog]
use = call:paste_site:plain
text = blog
filter-with = guard

[filter:guard]
use = egg:onionskin#allow_addresses
allowed_addresses = 127.0.0.1, 10.0.0.0/8
unless.path = /open/**

[app:files]
use = egg:onionskin#static_files
root = %(here)s
"""


def test_a_composite_mounts_applications_as_urlmap_does(ini):
    app = deploy.loadapp(f"config:{ini(COMPOSITE)}")

    assert ask(app, "/x").body == b"plain ''"
    assert ask(app, "/blog/x", REMOTE_ADDR="10.1.1.1").body == b"blog '/blog'"
    assert ask(app, "/blog/x", REMOTE_ADDR="192.0.2.1").status == "403 Forbidden"
    assert ask(app, "/blog/open/x", REMOTE_ADDR="192.0.2.1").body == b"blog '/blog'"
    assert ask(app, "/blog").status.startswith("308 ")
    assert ask(app, "/v1/x", HTTP_HOST="api.example.org").body == b"blog '/v1'"
    assert ask(app, "/x", HTTP_HOST="shop.example.net").body == b"blog ''"


def test_a_layer_that_stands_alone_is_an_application(ini):
    app = deploy.loadapp(f"config:{ini(COMPOSITE)}", name="files")

    assert b"def plain" in ask(app, "/paste_site.py").body
    assert ask(app, "/missing").status == "404 Not Found"


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("allowed_addresses = 127.0.0.1\nstatus = high", 'allow_addresses: status: "high" does not fit'),
        (
            "allowed_adresses = 127.0.0.1",
            'allow_addresses: there is no option "allowed_adresses"; did you mean',
        ),
        ("status = 404", "allow_addresses: allowed_addresses is missing"),
    ],
)
def test_a_wrong_option_of_a_filter_is_refused(ini, section, told):
    path = ini(f"[filter:main]\nuse = egg:onionskin#allow_addresses\n{section}\n")

    with pytest.raises(ConfigurationError) as refused:
        deploy.loadfilter(f"config:{path}")
    assert str(refused.value).startswith(told)


def test_a_wrong_option_of_the_server_is_refused(ini):
    path = ini("[server:main]\nuse = egg:onionskin\nthreads = many\n")

    with pytest.raises(ConfigurationError, match=r'^threads: "many" does not fit'):
        deploy.loadserver(f"config:{path}")


@pytest.mark.parametrize(
    ("options", "places"),
    [
        ({"listen": "*:80 [::1]:8080 localhost"}, [":80", "[::1]:8080", "localhost:8080"]),
        ({"host": "::1", "port": "80"}, ["[::1]:80"]),
        ({"port": "80"}, ["127.0.0.1:80"]),
        ({"unix_socket": "/run/x"}, ["unix:/run/x"]),
    ],
)
def test_other_servers_words_for_places_are_understood(options, places):
    assert paste.with_places(options) == {"bind": places}


def test_every_layer_has_its_entry_points():
    def declared(group: str) -> set[str]:
        return {point.name for point in entry_points(group=group) if point.value.startswith("onionskin.")}

    rows = _core.declarations()
    assert declared("paste.filter_factory") == {row["name"] for row in rows}
    alone = {row["name"] for row in rows if row["stands_alone"]}
    assert declared("paste.app_factory") | declared("paste.composite_factory") == alone
    for group in (
        "paste.filter_factory",
        "paste.app_factory",
        "paste.composite_factory",
        "paste.server_factory",
    ):
        for point in entry_points(group=group):
            if point.value.startswith("onionskin."):
                assert callable(point.load())
