"""Scripts: the shapes that a body may have, and when start_response may be called."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doors.stage import TEXT, Counted, query, script
from support.gate import wait_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@script
def hello(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "6")])
    return [b"hello\n"]


@script
def unsized(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return [b"one block without a length"]


@script
def list_(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return [b"one ", b"two ", b"three"]


@script
def tuple_(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return (b"one ", b"two")


@script
def empty(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return []


@script
def document(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "application/xml"), ("ETag", '"1"'), ("X-Kept", "yes")])
    return Counted(environ, [b"<words><w>one</w>", b"<w>two</w></words>"])


@script
def blanks(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return Counted(environ, [b"", b"one ", b"", b"", b"two", b""])


@script
def counted(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return Counted(environ, [b"one ", b"two"])


@script
def sized(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "7")])
    return Counted(environ, [b"one ", b"two"])


@script
def large(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return Counted(environ, (bytes([65 + step]) * 50_000 for step in range(20)))


@script
def endless(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    return Counted(environ, iter(lambda: b"on and on " * 5000, b""))


@script
def generator(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [TEXT])
    return (block for block in [b"one ", b"two"])


@script
def file(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    wrapper = environ.get("wsgi.file_wrapper")
    if wrapper is None:
        return iter([b"a file"])
    return wrapper(io.BytesIO(b"a file"), 4)


@script
def real_file(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    opened = Path(__file__).open("rb")  # noqa: SIM115
    opened.seek(3)
    return environ.get("wsgi.file_wrapper", iter)(opened)


@script
def stream(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """The second block comes only when the test has seen the first."""
    start_response("200 OK", [TEXT])
    yield b"first|"
    yield b"second" if wait_at(int(query(environ)["gate"])) else b"nobody came"


@script
def stream_counted(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Waits for the test before its first block."""
    start_response("200 OK", [TEXT])
    gate = int(query(environ)["gate"])
    return Counted(environ, (b"block" * 10_000 for step in range(1000) if step or wait_at(gate)))


@script
def lazy(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Nothing happens before the first step."""
    start_response("202 Accepted", [TEXT, ("X-Lazy", "yes")])
    yield b"late "
    yield b"start"


@script
def lazy_and_empty(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("202 Accepted", [TEXT])
    return
    yield


@script
def silent(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return Counted(environ, [b"no head"])


@script
def silent_list(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return [b"no head"]


@script
def silent_and_empty(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return []


@script
def twice(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])
    try:
        start_response("201 Created", [TEXT])
    except Exception:
        return [b"refused"]
    return [b"taken"]


# write().


@script
def write(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    write = start_response("200 OK", [TEXT])
    write(b"written ")
    write(b"")
    write(b"twice, ")
    return Counted(environ, [b"then ", b"iterated"])


@script
def write_only(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])(b"written")
    return []


@script
def write_and_list(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT])(b"written ")
    return [b"listed"]


@script
def write_much(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """More than is kept in memory."""
    write = start_response("200 OK", [TEXT])
    for number in range(50):
        write(b"%06d" % number * 15_000)
    return Counted(environ, [b"", b"then ", b"iterated"])


@script
def write_slowly(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The call goes on only when the test has seen what was written."""
    start_response("200 OK", [TEXT])(b"first|")
    return [b"second" if wait_at(int(query(environ)["gate"])) else b"nobody came"]


@script
def write_then_fail(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """What is written is sent: the head stays, and the exception comes back."""
    start_response("200 OK", [TEXT, ("Content-Length", "14")])(b"written")
    return [same_comes_back(start_response)]


# exc_info.


@script
def replaced(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [TEXT, ("X-First", "yes")])
    return [fail_before_the_first_byte(start_response)]


@script
def replaced_lazily(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [TEXT, ("X-First", "yes")])
    yield fail_before_the_first_byte(start_response)


@script
def replaced_after_a_blank(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [TEXT, ("X-First", "yes")])
    yield b""
    yield fail_before_the_first_byte(start_response)


@script
def replaced_too_late(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [TEXT, ("Content-Length", "13")])
    yield b"first|"
    yield same_comes_back(start_response)


@script
def replaced_without_a_first(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return [fail_before_the_first_byte(start_response)]


def fail_before_the_first_byte(start_response: Any) -> bytes:
    try:
        raise LookupError("nothing there")
    except LookupError:
        start_response("503 Sorry", [TEXT, ("X-Second", "yes")], sys.exc_info())
        return b"an error page"


def same_comes_back(start_response: Any) -> bytes:
    fault = LookupError("nothing there")
    try:
        raise fault
    except LookupError:
        try:
            start_response("503 Sorry", [TEXT], sys.exc_info())
        except LookupError as back:
            return b"it came" if back is fault else b"another"
    return b"replace"
