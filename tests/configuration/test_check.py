"""What ``onionskin check`` finds: places that cannot be listened on, and what is probably not meant."""

from __future__ import annotations

import socket

import pytest

SITE = 'application = "site_module:application"\n'
LAYER = "[[layer]]\nuse = "


@pytest.mark.parametrize("arguments", [[], ["--no-import"]], ids=["imported", "not imported"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'control = "/no/such/directory/c"\n',
            "onion.toml:2: control: /no/such/directory/c: there is no directory",
        ),
        (
            'bind = "192.0.2.1:8000"\n',
            "onion.toml:2: bind: 192.0.2.1:8000: the address is not on this machine",
        ),
        (
            'bind = "no-such-host.invalid:80"\n',
            "onion.toml:2: bind: no-such-host.invalid:80: the host cannot be",
        ),
        (
            'bind = "redirect://192.0.2.1:80"\n',
            "onion.toml:2: bind: redirect://192.0.2.1:80: the address is not",
        ),
        (
            'bind = "unix:/no/such/directory/s"\n',
            "onion.toml:2: bind: unix:/no/such/directory/s: there is no",
        ),
        ('metrics_bind = "[2001:db8::1]:9100"\n', "onion.toml:2: metrics_bind: [2001:db8::1]:9100: "),
    ],
)
def test_a_place_that_cannot_be_listened_on_is_an_error(project, run, text, told, arguments):
    (project / "onion.toml").write_text(SITE + text)
    done = run("check", *arguments)

    assert done.returncode == 2, done
    assert f"onionskin: {told}" in done.stderr, done.stderr


def test_a_port_in_use_may_be_the_servers_own(project, run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run("check", "site_module", "--bind", f"127.0.0.1:{taken.getsockname()[1]}").returncode == 0


@pytest.mark.parametrize(
    "place", [":0", "127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "localhost:0", "unix:site.sock", "unix:@name"]
)
def test_places_of_this_machine_are_well(project, run, place):
    done = run("check", "site_module", "--bind", place)
    assert done.returncode == 0, done


MOUNT = '[[mount]]\npath = "/static"\n[[mount.layer]]\nuse = "static_files"\nroot = "."\n'


@pytest.mark.parametrize("arguments", [[], ["--no-import"]], ids=["imported", "not imported"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'threads = 2\n[[mount]]\npath = "/blog"\napplication = "site_module:blog"\nthreads = 8\n',
            "onion.toml:3: mount: threads: 8 is above the server's 2, and has no effect; ",
        ),
        (
            MOUNT + 'prefix = "/static"\n',
            "onion.toml:4: static_files: prefix: '/static' repeats the path of its mount, ",
        ),
        (
            MOUNT + 'prefix = "/static/css/"\n',
            "onion.toml:4: static_files: prefix: '/static/css' repeats the path ",
        ),
        (
            LAYER
            + '"proxy"\ntarget = "http://127.0.0.1:1"\n'
            + LAYER
            + '"proxy"\ntarget = "http://127.0.0.1:2"\n',
            "onion.toml:2: proxy answers every request: proxy and the application inside it cannot ",
        ),
        (
            LAYER + '"static_files"\nroot = "."\nfallthrough = false\n',
            "onion.toml:2: static_files answers every request: the application inside it cannot be reached; ",
        ),
        (
            LAYER + '"compress"\n' + LAYER + '"compress"\nmin_size = "2KiB"\n',
            "onion.toml:4: compress stands twice",
        ),
        (
            2 * (LAYER + '"headers"\nresponse = { set = { X-A = "b" } }\n'),
            "onion.toml:5: headers stands twice around the same application; remove one of them",
        ),
    ],
)
def test_what_has_no_effect_is_a_warning(project, run, text, told, arguments):
    (project / "onion.toml").write_text(SITE + text)
    done = run("check", *arguments)

    warnings = [line for line in done.stderr.splitlines() if line.startswith("onionskin: warning: ")]
    assert done.returncode == 1, done
    assert [line.startswith(f"onionskin: warning: {told}") for line in warnings] == [True], done.stderr


LAYERED = """
from onionskin import Compress, Headers, Mount, Proxy, RequestId, StaticFiles
from site_module import application as site, blog
"""


@pytest.mark.parametrize(
    ("app", "told"),
    [
        ("Compress(Compress(site))", "compress stands twice"),
        ("RequestId(Mount({'/a': RequestId(blog)}, default=site))", "request_id stands twice"),
        ("Mount({'/': blog}, default=site)", "mount answers every request"),
        (
            "Mount({'/blog': blog}, default=site, threads={'/blog': 9})",
            "mount: /blog: threads: 9 is above the server's 4",
        ),
        ("Mount({'/s': StaticFiles(root='.', prefix='/s')}, default=site)", "prefix: '/s' repeats the path"),
    ],
)
def test_what_a_module_builds_is_looked_at_too(project, run, app, told):
    (project / "layered.py").write_text(f"{LAYERED}\napplication = {app}\n")
    done = run("check", "layered")

    assert (done.returncode, done.stderr.count("warning")) == (1, 1), done
    assert f"onionskin: warning: {told}" in done.stderr or told in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        LAYER + '"proxy"\ntarget = "http://127.0.0.1:1"\nmatch = { path = "/api/**" }\n',
        LAYER
        + '"compress"\nmatch = { path = "/a/**" }\n'
        + LAYER
        + '"compress"\nmatch = { path = "/b/**" }\n',
        LAYER
        + '"headers"\nresponse = { set = { X-A = "b" } }\n'
        + LAYER
        + '"headers"\nresponse = { set = { X-B = "b" } }\n',
        LAYER + '"static_files"\nroot = "."\nprefix = "/static"\n',
        MOUNT + 'prefix = "/css"\n',
        MOUNT + "[dispatch]\nstrip = false\n",
        MOUNT + 'prefix = "/static"\n[dispatch]\nstrip = false\n',
        'threads = 2\n[[mount]]\npath = "/blog"\napplication = "site_module:blog"\nthreads = 2\n',
    ],
)
def test_what_has_an_effect_is_no_warning(project, run, text):
    (project / "onion.toml").write_text(SITE + text)
    for arguments in ([], ["--no-import"]):
        done = run("check", *arguments)
        assert (done.returncode, done.stderr) == (0, "onion.toml can be served\n")
