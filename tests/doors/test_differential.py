"""Two doors, one layer: what a client and the application can observe is the same under every server.

Every layer of the table is here, with each request below, under every kind of server; ours is the measure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import onionskin
from doors.stacks import STACKS
from support.encodings import decoded, is_whole

if TYPE_CHECKING:
    from support.client import Reply
    from support.servers import Served, Servers

FRAMING = {"date", "server", "connection", "keep-alive", "transfer-encoding", "content-length"}
"""What a server adds by itself."""

OF_THE_REQUEST = {"REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR"}
"""Keys of environ that don't depend on the server, as those do not that begin with the following."""

PREFIXES = ("HTTP_", "CONTENT_", "SERVER_PROTOCOL", "onionskin.", "wsgi.url_scheme", "type of environ")

REQUESTS: dict[str, tuple[str, str, list[tuple[str, str]], bytes | None]] = {
    "get": ("GET", "/hello", [], None),
    "head": ("HEAD", "/sized", [], None),
    "options": ("OPTIONS", "/hello", [], None),
    "put": ("PUT", "/echo?way=read", [("Content-Type", "text/plain")], b"put this"),
    "blocks": ("POST", "/echo?way=read", [("Content-Type", "text/plain")], b"x" * 70_000),
    "iterable": ("GET", "/blanks", [], None),
    "large": ("GET", "/large", [], None),
    "tuple": ("GET", "/tuple", [], None),
    "empty": ("GET", "/empty", [], None),
    "lazy": ("GET", "/lazy", [], None),
    "write": ("GET", "/write", [], None),
    "write much": ("GET", "/write_much", [], None),
    "reason": ("GET", "/other_reason", [], None),
    "cookies": ("GET", "/cookies", [("Cookie", "a=1; b=2")], None),
    "latin-1": ("GET", "/latin1", [("X-Name", "\xe9\xff")], None),
    "mutated": ("GET", "/mutated", [], None),
    "no content": ("GET", "/no_content", [], None),
    "not modified": ("GET", "/not_modified", [("If-None-Match", '"1"')], None),
    "document": ("GET", "/document", [], None),
    "document's head": ("HEAD", "/document", [], None),
    "spelling": ("GET", "/etag", [], None),
    "file": ("GET", "/file", [], None),
    "replaced": ("GET", "/replaced_without_a_first", [], None),
    "cut off": ("GET", "/middle_fault", [], None),
}

asked: dict[tuple[str, str], Any] = {}


def answer(server: Served, stack: str, request: str) -> Reply:
    """The answer to one of the requests."""
    method, target, headers, body = REQUESTS[request]
    own = list(STACKS[stack].headers.items())
    return server.ask(target, method, headers=[*headers, *own], body=body)


def observable(server: Served, stack: str, request: str) -> dict[str, Any]:
    """What a client can see of an answer."""
    reply = answer(server, stack, request)
    headers = [(name.lower(), value) for name, value in reply.headers]
    return {
        "status": reply.status,
        "reason": reply.reason,
        # waitress spells names its own way: names are compared without their case here, see test_inward.py.
        "headers": sorted(pair for pair in headers if pair[0] not in FRAMING),
        # By the way that a server cuts it into blocks, the same body is compressed differently.
        "body": decoded(reply.body, reply.get("Content-Encoding")),
        "whole": reply.whole and is_whole(reply.body, reply.get("Content-Encoding")),
    }


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("stack", STACKS)
def test_a_client_sees_the_same_whichever_server_is_around(
    servers: Servers, outward_kind: str, stack: str, request_name: str
) -> None:
    key = (stack, request_name)
    if key not in asked:
        asked[key] = observable(servers.get("native", f"doors.served:{stack}"), stack, request_name)
    seen = observable(servers.get(outward_kind, f"doors.served:{stack}"), stack, request_name)
    assert seen == asked[key]
    assert seen["status"] != 500


ENVIRONS = {
    "plain": ("GET", "/environ", [], None),
    "query": ("GET", "/environ?a=%20&b=%C3%A9&&c", [], None),
    "escaped": ("GET", "/environ/caf%C3%A9/%20/%41%2541", [], None),
    "headers": ("GET", "/environ", [("X-A", "\xe9"), ("X-B-C", "1, 2"), ("Accept", "*/*")], None),
    "body": ("POST", "/environ", [("Content-Type", "application/x-www-form-urlencoded")], b"a=b"),
    "odd method": ("PROPFIND", "/environ", [], None),
}


def told(server: Served, stack: str, request: str) -> dict[str, Any]:
    """What the application is given, without what the server tells of itself."""
    method, target, headers, body = ENVIRONS[request]
    reply = server.ask(target, method, headers=[*headers, *STACKS[stack].headers.items()], body=body)
    if reply.status != 200:
        return {"status": reply.status}
    given = json.loads(decoded(reply.body, reply.get("Content-Encoding"))).items()
    shown = {key: value for key, value in given if key in OF_THE_REQUEST or key.startswith(PREFIXES)}
    if body is None:
        # Empty or missing is the same; wsgiref makes a type up.
        shown.pop("CONTENT_TYPE", None)
        shown.pop("CONTENT_LENGTH", None)
    return shown


@pytest.mark.parametrize("request_name", ENVIRONS)
@pytest.mark.parametrize("stack", STACKS)
def test_the_application_is_told_the_same_whichever_server_is_around(
    servers: Servers, outward_kind: str, stack: str, request_name: str
) -> None:
    native = told(servers.get("native", f"doors.served:{stack}"), stack, request_name)
    seen = told(servers.get(outward_kind, f"doors.served:{stack}"), stack, request_name)
    assert seen == native
    assert ("PATH_INFO" in seen) is not ("refusing" in stack or "hiding" in stack)


def test_every_layer_of_the_table_is_compared() -> None:
    table = {row["name"] for row in onionskin._core.declarations()}
    assert {stack.layer for stack in STACKS.values()} == table


@pytest.mark.parametrize("target", ["/hello", "/lazy", "/write", "/cookies", "/large", "/replaced"])
def test_a_nest_with_python_in_between_is_the_same_everywhere(
    servers: Servers, outward_kind: str, target: str
) -> None:
    headers = [("X-Request-Id", "mine"), ("Traceparent", f"00-{'a' * 32}-{'b' * 16}-01")]
    native = servers.get("native", "doors.served:nest").ask(target, headers=headers)
    seen = servers.get(outward_kind, "doors.served:nest").ask(target, headers=headers)
    assert (seen.status, seen.reason, seen.body) == (native.status, native.reason, native.body)
    assert seen.get("X-Request-Id") == native.get("X-Request-Id") == "mine"


def test_python_in_between_is_told_what_outer_layers_know(servers: Servers, kind: str) -> None:
    environ = (
        servers.get(kind, "doors.served:nest").ask("/environ", headers=[("X-Request-Id", "mine")]).json()
    )
    assert (environ["tests.between"], environ["onionskin.request_id"]) == ("mine", "mine")
