"""`[application.NAME]`: an application has its target, directory, environment and threads in one place."""

from __future__ import annotations

import threading

import pytest

BIND = 'bind = "127.0.0.1:0"\n'
MODULE = """
import os, threading
SEEN = os.environ.get("SHOWN")
together, most, lock = 0, 0, threading.Lock()

def application(environ, start_response):
    global together, most
    with lock:
        together += 1
        most = max(most, together)
    if environ["PATH_INFO"] == "/wait":
        threading.Event().wait(0.1)
    with lock:
        together -= 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{NAME} {SEEN} {most}".encode()]
"""
TWO = (
    BIND
    + """
[application.blog]
target = "blog_module:application"
directory = "blog"
environment = { SHOWN = "shown" }

[application.shop]
target = "shop_module.py"
directory = "shop"
threads = 1

[[mount]]
path = "/blog"
application = "blog"

[[mount]]
path = "/shop"
application = "shop"

[[mount]]
path = "/"
application = "shop"
"""
)


@pytest.fixture
def project(project):
    for name in ("blog", "shop"):
        (project / name).mkdir()
        (project / name / f"{name}_module.py").write_text(f"NAME = {name!r}\n{MODULE}")
    return project


def test_mounts_name_applications_that_have_directories_and_environment(served):
    server = served(TWO)

    assert server.get("/blog/x") == b"blog shown 1"
    assert server.get("/shop/x") == b"shop shown 1"


def test_an_application_that_is_mounted_twice_is_one_with_one_bound(served):
    server = served(TWO)
    paths = ("/wait", "/shop/wait", "/wait")
    asking = [(server.client(), path) for path in paths]
    clients = [threading.Thread(target=client.get, args=(path,)) for client, path in asking]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    assert server.get("/") == b"shop shown 1"


def test_a_single_application_needs_no_mount(served):
    text = BIND + '[application.site]\ntarget = "blog_module"\ndirectory = "blog"\nthreads = 2\n'

    assert served(text).get("/").startswith(b"blog ")


def test_the_command_line_and_the_environment_take_names(served):
    without_mounts = TWO.partition("[[mount]]")[0]

    assert served(without_mounts, "shop").get("/").startswith(b"shop ")
    assert served(without_mounts, ONIONSKIN_APPLICATION="blog").get("/").startswith(b"blog ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[application.x]\nthreads = 1\n", "onion.toml:1: application.x: target is missing; give a text"),
        ("[application.x]\ntarget = 1\n", "onion.toml:2: application.x: target: 1 does not fit; give a text"),
        ('[application]\ntarget = "x"\n', "onion.toml:2: application.target: it is no table; write [appl"),
        (
            '[application."a:b"]\ntarget = "x"\n',
            "onion.toml:1: application.a:b: this is no name; take letters",
        ),
        (
            '[application.x]\ntarget = "x"\nthread = 1\n',
            'onion.toml:3: application.x: there is no option "thread"; did you mean threads?',
        ),
        (
            '[application.x]\ntarget = "x"\ndirectory = "nowhere"\n',
            "onion.toml:3: application.x: directory: there is no directory /",
        ),
        (
            '[application.x]\ntarget = "x"\nenvironment = { "A=" = "1" }\n',
            'onion.toml:3: application.x: environment: "A=" is no name of a variable; ',
        ),
        (
            '[application.x]\ntarget = "x"\nenvironment = { A = "1" }\n'
            '[application.y]\ntarget = "y"\nenvironment = { A = "2" }\n',
            "onion.toml:6: application.y: environment: A has another value for x (onion.toml:1), and all ",
        ),
        (
            '[application.x]\ntarget = "x"\nthreads = 1\n'
            '[[mount]]\npath = "/"\napplication = "x"\nthreads = 2\n',
            "onion.toml:4: mount: threads: application.x has them already (onion.toml:1); write them once",
        ),
        (
            TWO.partition("[[mount]]")[0],
            "there is no application for all requests (blog, shop can be mounted",
        ),
    ],
)
def test_what_is_wrong_is_told_in_one_line(run, project, text, told):
    (project / "onion.toml").write_text(text)
    done = run("check")

    assert done.returncode == 2
    assert done.stderr.startswith(f"onionskin: {told}"), done.stderr
    assert done.stderr.count("\n") == 1


def test_two_modules_of_one_name_are_refused(run, project):
    for name in ("blog", "shop"):
        (project / name / "site.py").write_text("def app(environ, start_response): ...")
        (project / name / "wsgi.py").write_text("def app(environ, start_response): ...")
    (project / "onion.toml").write_text(
        "".join(f'[application.{name}]\ntarget = "wsgi"\ndirectory = "{name}"\n' for name in ("blog", "shop"))
        + "".join(f'[[mount]]\npath = "/{name}"\napplication = "{name}"\n' for name in ("blog", "shop"))
    )
    done = run("check")

    assert done.returncode == 2
    assert "onion.toml:5: application.shop: target: its module wsgi is " in done.stderr


def test_check_tells_of_an_application_that_nothing_uses(run, project):
    unused = '[application.other]\ntarget = "blog_module"\ndirectory = "blog"\n'
    (project / "onion.toml").write_text(TWO + unused)
    done = run("check")

    assert done.returncode == 1
    assert "application.other is neither mounted nor named: no request reaches it" in done.stderr


def test_what_config_prints_says_the_same_and_masks_secrets(run, project):
    (project / "onion.toml").write_text(TWO.replace("SHOWN", "API_TOKEN"))
    printed = run("config").stdout

    assert 'target = "blog_module:application"  # from onion.toml:4' in printed
    assert 'environment = { API_TOKEN = "***" }  # from onion.toml:6' in printed
    (project / "onion.toml").write_text(printed)
    again = run("config")
    assert again.returncode == 0
    assert again.stdout.count("[application.") == 2
