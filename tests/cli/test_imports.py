"""Mistakes of an application at import time: every command refuses them with status 2 and a reason."""

from __future__ import annotations

from importlib import util
from textwrap import dedent

import pytest

from cli.test_commands import run
from onionskin import ConfigurationError, RequestId, interface
from onionskin.simple_server import make_server

COMMANDS = {
    "check": ["check"],
    "serve": ["serve", "--bind", "127.0.0.1:0"],
    "explain": ["explain"],
    "workers": ["serve", "--bind", "127.0.0.1:0", "--workers", "1"],
    "preload": ["serve", "--bind", "127.0.0.1:0", "--workers", "1", "--preload"],
    "layer": ["check", "--layer", "request_id"],
}
every_command = pytest.mark.parametrize("command", COMMANDS)

ASGI = {
    "function": ("async def application(scope, receive, send): ...", "an async function"),
    "sync": ("def application(scope, receive, send): ...", "it takes scope, receive and send"),
    "class": (
        "class application:\n    async def __call__(self, scope, receive, send): ...",
        "a class with async __call__",
    ),
    "instance": (
        "class Site:\n    async def __call__(self, scope, receive, send): ...\napplication = Site()",
        "an instance of Site",
    ),
    "method": (
        "class Site:\n    async def run(self, scope, receive, send): ...\napplication = Site().run",
        "an async function",
    ),
    "partial": (
        "import functools\nasync def run(more, scope, receive, send): ...\n"
        "application = functools.partial(run, 1)",
        "an async function",
    ),
    "inherited": (
        "class Base:\n    async def __call__(self, scope, receive, send): ...\n"
        "class Site(Base): ...\napplication = Site()",
        "an instance of Site",
    ),
}


def refused(project, command: str, *more: str, text: str) -> str:
    """What a command says of a module that it cannot serve."""
    (project / "wrong.py").write_text(dedent(text))
    done = run(*COMMANDS[command], *more, "wrong", cwd=project)
    assert (done.returncode, done.stdout) == (2, ""), done
    return done.stderr


@pytest.mark.smoke
@every_command
@pytest.mark.parametrize("code", ["0", "", "1", "'a reason'"])
def test_an_exit_during_the_import_is_refused_with_its_line(project, command, code):
    said = refused(project, command, text=f"import sys\n\nsys.exit({code})\n")

    shown = code or "None"
    assert (
        f"onionskin: 'wrong' called sys.exit({shown}) at {project}/wrong.py:3 while it was imported; " in said
    )
    assert len(said.splitlines()) == 1


def test_an_exit_in_a_library_is_located_at_the_line_that_called_it(project):
    said = refused(project, "check", text="import argparse\nargparse.ArgumentParser().parse_args(['-x'])\n")

    assert f"called sys.exit(2) at {project}/wrong.py:2 while it was imported" in said


@every_command
@pytest.mark.parametrize("kind", ASGI)
def test_an_asgi_application_is_refused(project, command, kind):
    text, reason = ASGI[kind]
    said = refused(project, command, text=text)

    assert f" is not a WSGI application but an ASGI application ({reason}); expected " in said
    assert "Traceback" not in said


def test_an_asgi_application_inside_layers_is_refused(project):
    text = "from onionskin import RequestId\nasync def inner(scope, receive, send): ...\n"
    for module in (text + "application = RequestId(inner)", text + "application = RequestId()(inner)"):
        said = refused(project, "check", text=module)
        assert "request_id: wrong.inner is not a WSGI application but an ASGI application" in said
    (project / "wrong.py").write_text(text)
    done = run("check", "site_module", "--layer", "mount:routes=/=wrong:inner", cwd=project)
    assert (done.returncode, "but an ASGI application" in done.stderr) == (2, True), done


async def an_async_application(scope, receive, send): ...


def test_an_asgi_object_is_refused_from_python():
    told = "is not a WSGI application but an ASGI application"
    with pytest.raises(ConfigurationError, match=told):
        make_server("127.0.0.1", 0, an_async_application)
    with pytest.raises(ConfigurationError, match=told):
        RequestId(an_async_application)


def test_starlette_is_refused(project):
    pytest.importorskip("starlette")
    said = refused(
        project, "check", text="from starlette.applications import Starlette\napplication = Starlette()"
    )
    assert "an instance of Starlette" in said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "class application:\n    def __call__(self, environ, start_response): ...",
            "is a class, not a WSGI",
        ),
        ("def application(): ...", "takes no arguments; expected a callable"),
        ("def application(request): ...", "takes (request); expected a callable"),
        ("def application(a, b, c): ...", "takes (a, b, c); expected a callable"),
        ("def application(a, b, *, c): ...", "takes (a, b, c); expected a callable"),
        ("class A:\n    def __call__(self, request): ...\napplication = A()", "takes (request); expected"),
    ],
)
def test_a_callable_that_takes_no_request_is_refused(project, text, told):
    assert told in refused(project, "check", text=text)


def test_a_factory_that_was_not_called_is_refused_with_the_call(project):
    (project / "wrong.py").write_text("def create_app(): ...")
    done = run("check", "wrong:create_app", cwd=project)

    assert done.stderr.endswith("; call it: wrong:create_app()\n")


class Iterable:
    def __init__(self, environ, start_response): ...

    def __iter__(self): ...


class Callable:
    def __call__(self, environ, start_response): ...

    def method(self, environ, start_response, extra=None): ...

    @staticmethod
    def static(environ, start_response): ...

    @classmethod
    def of_class(cls, environ, start_response): ...


@pytest.mark.parametrize(
    "app",
    [
        Iterable,
        Callable(),
        Callable().method,
        Callable.static,
        Callable.of_class,
        lambda *_: [],
        lambda environ, start_response, /: [],
        lambda environ, *more: [],
        lambda environ, start_response, *, debug=False: [],
        print,
        RequestId(print),
    ],
)
def test_every_kind_of_wsgi_callable_is_accepted(app):
    interface.check(app, "here")


@every_command
def test_a_traceback_starts_at_the_applications_own_frame(project, command):
    said = refused(project, command, text="def fail():\n    raise RuntimeError('at import')\n\nfail()\n")

    files = [line.split('"')[1] for line in said.splitlines() if line.startswith('  File "')]
    assert files == [f"{project}/wrong.py"] * 2, said
    assert "RuntimeError: at import" in said


def test_so_does_the_traceback_of_an_application_that_a_layer_names(project):
    (project / "wrong.py").write_text("raise RuntimeError('at import')\n")
    done = run("check", "site_module", "--layer", "mount:routes=/=wrong", cwd=project)

    files = [line.split('"')[1] for line in done.stderr.splitlines() if line.startswith('  File "')]
    assert (done.returncode, files) == (2, [f"{project}/wrong.py"]), done.stderr


# They are not there in the tests of every version.
FAKES = {
    "gevent": ("gevent/monkey.py", "saved = {}\ndef patch_all():\n    saved['threading'] = {}\n"),
    "eventlet": (
        "eventlet/patcher.py",
        "already_patched = {}\ndef monkey_patch():\n    already_patched['os'] = True\n",
    ),
}


@pytest.mark.parametrize("is_real", [False, True])
@pytest.mark.parametrize("library", FAKES)
@every_command
def test_patched_threads_are_refused(project, command, library, is_real):
    path, text = FAKES[library]
    if is_real:
        # Importing it here would patch the tests' own process.
        if util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    else:
        (project / library).mkdir()
        (project / library / "__init__.py").write_text("")
        (project / path).write_text(text)
    patch = {
        "gevent": "from gevent.monkey import patch_all as patch",
        "eventlet": "from eventlet.patcher import monkey_patch as patch",
    }[library]
    said = refused(project, command, text=f"{patch}\npatch()\nfrom site_module import application\n")

    assert (
        f"has patched Python's threads with {library}, and calls in the server's threads would hang; " in said
    )
