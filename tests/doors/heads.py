"""Scripts: response heads, and what an application gets of a request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from doors.stage import TEXT, Counted, query, script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@script
def reason(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("299 All Is Very Well", [TEXT])
    return [b"well"]


@script
def other_reason(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("404 Gone Fishing", [TEXT])
    return [b"back soon"]


@script
def bare_status(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200", [TEXT])
    return [b"no reason"]


@script
def cookies(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Set-Cookie", "a=1; Path=/"), ("X-Between", "-"), ("Set-Cookie", "b=2")])
    return [b"two cookies"]


@script
def latin1(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    name = environ["HTTP_X_NAME"]
    start_response("200 OK", [TEXT, ("X-Name", name), ("X-Length", str(len(name)))])
    return [name.encode("latin-1")]


@script
def mutated(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    headers = [TEXT, ("X-Kept", "as it was")]
    start_response("200 OK", headers)
    headers[1] = ("X-Kept", "as it became")
    headers.append(("X-Added", "later"))
    return [b"a list of our own"]


@script
def etag(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("content-type", "text/plain"), ("etag", '"1"'), ("www-authenticate", "Basic")])
    return [b"spelling"]


@script
def no_content(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("204 No Content", [("X-Kept", "yes")])
    return Counted(environ, [])


@script
def not_modified(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("304 Not Modified", [("ETag", '"1"')])
    return Counted(environ, [])


@script
def environ(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Text, numbers and flags as JSON; of everything else the type."""
    start_response("200 OK", [("Content-Type", "application/json")])
    shown = {
        key: value if isinstance(value, (str, int, tuple)) else f"<{type(value).__name__}>"
        for key, value in environ.items()
    }
    shown["type of environ"] = type(environ).__name__
    return [json.dumps(shown).encode()]


@script
def echo(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The body, read by the ``way`` that the query says; the pieces are divided by bars."""
    pieces = WAYS[query(environ)["way"]](environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [b"|".join(pieces)]


WAYS: dict[str, Callable[[Any, int], list[bytes]]] = {
    "read": lambda body, length: [body.read(length)],
    "blocks": lambda body, length: [*iter(lambda: body.read(7), b"")],
    "readline": lambda body, length: [*iter(lambda: body.readline(), b"")],
    "short lines": lambda body, length: [*iter(lambda: body.readline(4), b"")],
    "readlines": lambda body, length: body.readlines(),
    "hint": lambda body, length: body.readlines(1),
    "iteration": lambda body, length: [*body],
    "mixed": lambda body, length: [body.read(3), body.readline(), *body.readlines()],
}


@script
def read_all(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """read() without a size, which ends by itself only where the server says so."""
    start_response("200 OK", [TEXT])
    return [environ["wsgi.input"].read() if environ.get("wsgi.input_terminated") else b"not terminated"]
