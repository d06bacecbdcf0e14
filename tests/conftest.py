"""Fixtures for all tests: servers of every kind, each started once a session."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

import support.told as told_through
from support.both_doors import DOORS
from support.servers import KINDS, OUTWARD_KINDS, Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.both_doors import Seen
    from support.servers import Served
    from support.told import Told


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """All servers of this session: ``servers.get(kind, "package.module:name")``."""
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Every kind of server, ours first."""
    return str(request.param)


@pytest.fixture(scope="session", params=OUTWARD_KINDS)
def outward_kind(request: pytest.FixtureRequest) -> str:
    """Every kind of server that is not ours."""
    return str(request.param)


@pytest.fixture
def server(kind: str, servers: Servers) -> Callable[[str], Served]:
    """``server("package.module:name")`` under every kind of server."""
    return partial(servers.get, kind)


@pytest.fixture(params=DOORS)
def through(request: pytest.FixtureRequest) -> Callable[..., Seen]:
    """Asks an application in layers, in this process, through one door and then the other."""
    return DOORS[request.param]


@pytest.fixture(params=told_through.DOORS)
def told(request: pytest.FixtureRequest) -> Callable[..., Told]:
    """Asks an application, in this process, through one door and then the other, and keeps the log."""
    return told_through.DOORS[request.param]
