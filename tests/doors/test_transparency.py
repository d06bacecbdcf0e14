"""Under another server, an application in layers that leave it alone behaves as it does without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from doors import scripted
from doors.stage import SCRIPTS
from support.client import Reply

if TYPE_CHECKING:
    from support.servers import Served, Servers

APART = {
    "counts": "is no script",
    "endless": "has no end",
    "stream": "waits for the test",
    "stream_counted": "waits for the test",
    "write_slowly": "waits for the test",
    "echo": "is asked for below",
    "latin1": "is asked for below",
    "head_fault": "is refused by our start_response, whatever the server does",
    "bare_status": "gets a space after the digits from us, and is then accepted",
    "silent": "is an error of the application; some servers send what there is",
    "silent_list": "is an error of the application; some servers send what there is",
    "silent_and_empty": "is an error of the application; some servers send what there is",
    "twice": "is refused by our start_response, whatever the server does",
    "environ": "differs in the port",
    "mutated": "can't reach what we have copied",
    "etag": "gets the registered spelling",
    "lazy_and_empty": "gets a length from us: nothing can come any more",
    "replaced": "is replaced before we call the server's start_response",
    "replaced_lazily": "is replaced before we call the server's start_response",
    "replaced_without_a_first": "is replaced before we call the server's start_response",
    "write_then_fail": "fails before we have handed on what was written",
    "late_fault": "raises before we call the server's start_response",
}
ASKED = [f"/{name}" for name in SCRIPTS if name not in APART]
MOVING = {"date", "server", "connection", "keep-alive"}


def shown(server: Served, target: str, method: str) -> tuple[Reply | str, object]:
    """An answer, or the lack of one, as far as it does not depend on the time."""
    try:
        reply = server.ask(target, method)
    except ConnectionError as error:
        return type(error).__name__, None
    headers = sorted((name.lower(), value) for name, value in reply.headers if name.lower() not in MOVING)
    return Reply(reply.status, reply.reason, headers, b"", reply.whole), reply.body


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ASKED)
def test_layers_that_do_nothing_change_nothing(
    servers: Servers, outward_kind: str, target: str, method: str
) -> None:
    bare = servers.get(outward_kind, "doors.served:bare")
    layered = servers.get(outward_kind, "doors.served:allow_addresses")
    assert shown(layered, target, method) == shown(bare, target, method)


@pytest.mark.parametrize("way", ["read", "blocks", "readline", "readlines", "hint", "iteration", "mixed"])
def test_a_request_body_is_the_servers_own(servers: Servers, outward_kind: str, way: str) -> None:
    if outward_kind == "wsgiref" and way != "read":
        pytest.skip("wsgiref gives the connection itself, which has no end")
    body = b"first line\nsecond\n\nlast without end"
    bare = servers.get(outward_kind, "doors.served:bare").ask(f"/echo?way={way}", "POST", body=body)
    layered = servers.get(outward_kind, "doors.served:allow_addresses").ask(
        f"/echo?way={way}", "POST", body=body
    )
    assert (layered.status, layered.body) == (bare.status, bare.body)
    assert layered.status == 200


def test_every_exception_is_a_script() -> None:
    assert scripted.SCRIPTS is SCRIPTS
    assert [name for name in APART if name not in SCRIPTS] == []
