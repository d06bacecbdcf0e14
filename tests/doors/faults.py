"""Scripts: what applications do wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from doors.stage import TEXT, Counted, query, script

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Fault(Exception):
    """The application's own."""


@script
def early_fault(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    raise Fault("before the head")


@script
def late_fault(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    raise Fault("after the head")


@script
def first_step_fault(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return Counted(environ, failing([]))


@script
def middle_fault(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "99")])
    return Counted(environ, failing([b"one "]))


def failing(blocks: list[bytes]) -> Iterator[bytes]:
    yield from blocks
    raise Fault("in the middle")


@script
def close_fault(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "4")])
    return Unclosable(environ, [b"done"])


class Unclosable(Counted):
    """Counts, and then raises."""

    def close(self) -> None:
        super().close()
        raise Fault("in close()")


@script
def text(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return Counted(environ, ["not bytes"])  # type: ignore[list-item]


@script
def text_in_a_list(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return ["not bytes"]


@script
def nothing(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return None


@script
def overrun(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "4")])
    return Counted(environ, [b"one ", b"two"])


@script
def underrun(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "40")])
    return Counted(environ, [b"one ", b"two"])


@script
def head_fault(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Calls start_response with a head that PEP 3333 does not allow; see ``WRONG_HEADS``."""
    start_response(*WRONG_HEADS[query(environ)["of"]])
    return [b"taken"]


WRONG_HEADS: dict[str, tuple[Any, Any]] = {
    "connection": ("200 OK", [TEXT, ("Connection", "close")]),
    "keep-alive": ("200 OK", [TEXT, ("Keep-Alive", "timeout=5")]),
    "proxy-authenticate": ("200 OK", [TEXT, ("Proxy-Authenticate", "Basic")]),
    "te": ("200 OK", [TEXT, ("TE", "trailers")]),
    "trailer": ("200 OK", [TEXT, ("Trailer", "X")]),
    "transfer-encoding": ("200 OK", [TEXT, ("transfer-encoding", "chunked")]),
    "upgrade": ("200 OK", [TEXT, ("Upgrade", "websocket")]),
    "line break in a value": ("200 OK", [TEXT, ("X-A", "a\r\nX-B: b")]),
    "line break after a value": ("200 OK", [TEXT, ("X-A", "a\r\n")]),
    "control in a value": ("200 OK", [TEXT, ("X-A", "a\0b")]),
    "line break in a name": ("200 OK", [TEXT, ("X-A\r\nX-B", "b")]),
    "colon in a name": ("200 OK", [TEXT, ("X-A:", "b")]),
    "blank in a name": ("200 OK", [TEXT, ("X A", "b")]),
    "empty name": ("200 OK", [TEXT, ("", "b")]),
    "beyond latin-1": ("200 OK", [TEXT, ("X-A", "\N{EURO SIGN}")]),
    "bytes in a header": ("200 OK", [TEXT, (b"X-A", b"b")]),
    "number in a header": ("200 OK", [TEXT, ("Content-Length", 5)]),
    "list as a header": ("200 OK", [TEXT, ["X-A", "b"]]),
    "three in a header": ("200 OK", [TEXT, ("X-A", "b", "c")]),
    "tuple of headers": ("200 OK", (TEXT,)),
    "dict of headers": ("200 OK", {"Content-Type": "text/plain"}),
    "status as a number": (200, [TEXT]),
    "status as bytes": (b"200 OK", [TEXT]),
    "status without digits": ("OK", [TEXT]),
    "status of two digits": ("20 OK", [TEXT]),
    "status of four digits": ("2000 OK", [TEXT]),
    "status of 100": ("100 Continue", [TEXT]),
    "line break in the status": ("200 OK\r\nX-A: b", [TEXT]),
    "line break after the status": ("200 OK\n", [TEXT]),
}
