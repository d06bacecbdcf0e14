"""Projects for the command line to serve."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

SITE = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"application"]

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"app"]

def create_app(name="created", *, loud=False):
    def created(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [(name.upper() if loud else name).encode()]
    return created

class holder:
    app = staticmethod(app)

number = 5
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A directory with some modules in it."""
    (tmp_path / "site_module.py").write_text(SITE)
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "wsgi.py").write_text(SITE)
    (tmp_path / "only_app.py").write_text(SITE.replace("def application", "def other"))
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "broken.py").write_text("raise RuntimeError('at import')\n")
    (tmp_path / "missing.py").write_text("import there_is_no_such_module\n")
    (tmp_path / "unfinished.py").write_text("def application(\n")
    (tmp_path / "exiting.py").write_text("raise SystemExit(7)\n")
    (tmp_path / "failing.py").write_text(
        dedent("""
        def create_app():
            raise RuntimeError("in the factory")
        """)
    )
    return tmp_path
