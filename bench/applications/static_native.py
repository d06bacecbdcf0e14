"""hello inside StaticFiles: what the files that the harness has prepared cost ahead of Python."""

from pathlib import Path

from apps import hello
from onionskin import StaticFiles

FILES = Path(__file__).parents[1] / "venv" / "work" / "static"

app = StaticFiles(hello, FILES, prefix="/static")
