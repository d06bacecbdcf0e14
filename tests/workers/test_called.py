"""`onionskin.serve()` with workers: they import the application by its name, wherever the script stands."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import pytest

import onionskin
from onionskin import paste
from server.process import Process, Server, wait_until

if TYPE_CHECKING:
    from pathlib import Path

MODULE = """
import os
def application(environ, start_response):
    start_response("200 OK", [])
    return [f"{version} {os.getpid()}".encode()]
"""
SCRIPT = """
import onionskin
print(onionskin.serve("called_site:application", workers=2, bind="127.0.0.1:0", threads=3, health_allow=[]))
"""


class Called(Server):
    """A script that calls `serve()`, from another folder."""

    def __init__(self, project: Path) -> None:
        self._clients = []
        (project / "elsewhere").mkdir()
        Process.__init__(self, [sys.executable, str(project / "script.py")], project / "elsewhere")
        announced = self.wait_for_line(r"^onionskin \S+ on ")
        self.places = [place.rstrip(",") for place in announced.split() if "://" in place]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "called_site.py").write_text(f"version = 1\n{MODULE}")
    (tmp_path / "script.py").write_text(SCRIPT)
    return tmp_path


def test_serve_with_workers_imports_the_name_and_reloads(project: Path) -> None:
    with Called(project) as server:
        assert server.lines[0].endswith(", 2 workers, 3 threads each")
        first = server.get("/").split()
        assert first[0] == b"1"
        assert int(first[1]) != server.popen.pid

        (project / "called_site.py").write_text(f"version = 22\n{MODULE}")
        server.signal(signal.SIGHUP)
        server.wait_for_line("reloaded in")
        wait_until(lambda: server.get("/").startswith(b"22 "))

        # An empty list is an empty list, not the default.
        with server.client() as client:
            assert client.get("/-/live").body.startswith(b"22 ")
        assert server.stop() == 0


def application(environ: object, start_response: object) -> list[bytes]:
    raise AssertionError("it is not called")


@pytest.mark.parametrize("options", [{"workers": 2}, {"workers": "auto"}, {"reload": True}])
def test_an_application_that_workers_cannot_import_is_refused(options: dict[str, object]) -> None:
    name = next(iter(options))

    with pytest.raises(onionskin.ConfigurationError, match=rf'^{name}: worker .* serve\("mysite.wsgi:app", '):
        onionskin.serve(application, config=False, **options)  # type: ignore[arg-type]


def test_the_variable_that_asks_for_workers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONIONSKIN_WORKERS", "2")

    with pytest.raises(onionskin.ConfigurationError, match=r"^ONIONSKIN_WORKERS: workers: "):
        onionskin.serve(application)


def test_workers_in_an_ini_are_refused() -> None:
    with pytest.raises(onionskin.ConfigurationError, match=r"^workers: .* paste\.deploy\.loadapp"):
        paste.server({}, workers="2")
