"""A project with applications, for a configuration to describe."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from server.process import ONIONSKIN, Process, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SITE = """
def answering(text):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{text} {environ['SCRIPT_NAME']!r}".encode()]
    return application

application = answering("site")
blog = answering("blog")
"""


class Configured(Server):
    """`onionskin serve` with nothing but what the project's files and the environment say."""

    def __init__(self, *arguments: str, cwd: Path, environment: dict[str, str] | None = None) -> None:
        self._clients = []
        command = [*ONIONSKIN, "serve", *arguments]
        variables = [f"{name}={value}" for name, value in (environment or {}).items()]
        Process.__init__(self, ["env", *variables, *command], cwd)
        try:
            announced = self.wait_for_line(r"^onionskin \S+ on ")
        except BaseException:
            self.kill()
            raise
        self.places = [place.rstrip(",") for place in announced.split() if "://" in place]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with a module of two applications."""
    (tmp_path / "site_module.py").write_text(SITE)
    return tmp_path


@pytest.fixture
def served(project: Path) -> Iterator[Callable[..., Configured]]:
    """Serves the project: with the text of an `onion.toml`, further arguments and variables."""
    with ExitStack() as servers:

        def serve(text: str, *arguments: str, **environment: str) -> Configured:
            (project / "onion.toml").write_text(text)
            return servers.enter_context(Configured(*arguments, cwd=project, environment=environment))

        yield serve


@pytest.fixture
def run(project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line in the project, to its end."""

    def to_its_end(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*ONIONSKIN, *arguments],
            cwd=project,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    return to_its_end
