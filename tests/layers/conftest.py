"""Fixtures for the tests of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from layers.session_client import Client
from layers.xslt_sheets import stylesheet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(params=["native", "outward"])
def door(request: pytest.FixtureRequest) -> str:
    """Through our server, and as a middleware."""
    return str(request.param)


@pytest.fixture(params=["cookie", "sqlite"])
def session_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each store that needs nothing but this process."""
    return "cookie" if request.param == "cookie" else f"sqlite:{tmp_path / 'sessions'}"


@pytest.fixture
def client(door: str, session_store: str) -> Callable[..., Client]:
    """Makes a client of an application that does what ``view`` does."""
    return lambda view, **options: Client(door, view, **{"store": session_store, **options})


@pytest.fixture
def sheet(tmp_path: Path) -> Callable[..., str]:
    """Writes a stylesheet into a folder of its own, and gives its path."""
    folder = tmp_path / "sheets"

    def write(inside: str, name: str = "sheet.xsl", **files: str) -> str:
        for path, text in {**files, name: stylesheet(inside)}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        return str(folder / name)

    return write
