"""Servers for the tests in this folder."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from server.process import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the test."""
    with ExitStack() as servers:

        def start(*options: str, **settings: Any) -> Server:
            return servers.enter_context(Server(*options, **settings))

        yield start


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Callable[[str], Server]]:
    """Starts servers of what an `onion.toml` says; they end with the test."""
    with ExitStack() as servers:

        def start(text: str) -> Server:
            (tmp_path / "onion.toml").write_text(text)
            return servers.enter_context(Server(target=None, cwd=tmp_path, threads=None))

        yield start


@pytest.fixture(scope="module", params=["plain", "writing"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One server with its defaults, for all tests of a module: as it begins, and after a use of `write()`."""
    with Server() as running:
        if request.param == "writing":
            running.get("/quick_write")
        yield running


@pytest.fixture(autouse=True)
def no_panic(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test does to a server: none of its threads may panic."""
    yield
    if "server" in request.fixturenames:
        assert "panicked" not in request.getfixturevalue("server").log
