"""Sends each case of the `*.http` files to a real server; README.md describes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conformance.cases import Case, read_cases
from server.client import Client, Response
from server.process import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.http"))
CASES = [case for path in FILES for case in read_cases(path)]
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
TIMEOUTS = ("--header-timeout", "500ms", "--body-timeout", "500ms", "--keep-alive", "500ms")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(*TIMEOUTS, target="application.py:application", cwd=HERE) as running:
        yield running
        assert "panicked" not in running.log
        assert running.stop() == 0


def responses(client: Client, case: Case) -> list[Response]:
    """As many responses as the case expects."""
    methods = [*case.methods, *["GET"] * (len(case.expect) - len(case.methods))]
    return [client.response(method) for method in methods]


def remembered(server: Server) -> list[str]:
    """What the application has served since this was last asked."""
    return server.get("/served").decode("latin-1").split("\n")


def check_end(client: Client, case: Case, last: Response | None) -> None:
    """The connection is closed, or serves a further request."""
    if case.closed:
        assert client.rest() == b"", "something came after the last response"
        if last is not None and last.version == "HTTP/1.1" and b"HTTP/1.0" not in case.data:
            assert last.header("Connection") == "close", "a close was not announced"
    else:
        assert client.get("/further").status == 200, "the connection was not kept"


@pytest.mark.smoke
@pytest.mark.parametrize("case", [case for _, case in CASES], ids=[name for name, _ in CASES])
def test_case(server: Server, case: Case) -> None:
    remembered(server)
    with server.client() as client:
        client.send(case.data + (SMUGGLED if case.follow else b""))
        if case.end:
            client.half_close()
        given = responses(client, case)
        assert tuple(response.status for response in given) == case.expect
        check_end(client, case, given[-1] if given else None)
    served = [request for request in remembered(server) if request not in ("", "GET /further")]
    assert "GET /smuggled" not in served
    if case.served is not None:
        assert tuple(served) == case.served
    if case.contains is not None:
        assert case.contains in given[-1].body.decode("latin-1")
    if case.lacks is not None:
        assert case.lacks not in given[-1].body.decode("latin-1")


def test_every_promise_is_made_once() -> None:
    names = [name for name, _ in CASES]
    assert sorted(set(names)) == sorted(names)
