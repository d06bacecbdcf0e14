"""``wsgi.input`` and ``wsgi.errors`` as streams of the module ``io``, through both doors."""

from __future__ import annotations

import csv
import gc
import http.client
import io
from typing import TYPE_CHECKING, Any

import pytest

from support.both_doors import serving
from support.client import ask

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.smoke

BODY = b"name,town\r\nAda,London\r\nGrace,New York\r\n"


def as_text(stream: Any) -> Any:
    text = io.TextIOWrapper(stream, "utf-8", newline="")
    rows = list(csv.reader(text))
    del text
    gc.collect()
    return rows, stream.read(), stream.closed


def buffered(stream: Any) -> Any:
    reader = io.BufferedReader(stream, 8)
    return reader.peek(3)[:3], reader.readline(), reader.read()


def into_a_buffer(stream: Any) -> Any:
    room = bytearray(6)
    counts = [stream.readinto(room), stream.readinto1(memoryview(room)[:2])]
    return counts, bytes(room), stream.read1(3), stream.read1(0), len(stream.read1()) > 0


def protocol(stream: Any) -> Any:
    facts = [stream.readable(), stream.writable(), stream.seekable(), stream.isatty(), stream.closed]
    refused = []
    for call in ("fileno", "tell", "detach"):
        try:
            getattr(stream, call)()
        except io.UnsupportedOperation:
            refused.append(call)
    for call in ("seek", "truncate", "write"):
        try:
            getattr(stream, call)(0)
        except io.UnsupportedOperation:
            refused.append(call)
    with stream as same:
        whole = same.read()
    return facts, refused, whole, isinstance(stream, io.BufferedIOBase), stream.read()


EXPECTED: dict[Callable[[Any], Any], Any] = {
    as_text: ([["name", "town"], ["Ada", "London"], ["Grace", "New York"]], b"", False),
    buffered: (b"nam", b"name,town\r\n", BODY[11:]),
    into_a_buffer: ([6, 2], b"owme,t", b"n\r\n", b"", True),
    protocol: (
        [True, False, False, False, False],
        ["fileno", "tell", "detach", "seek", "truncate", "write"],
        BODY,
        True,
        b"",
    ),
}


def reading(read: Callable[[Any], Any], key: str = "wsgi.input") -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [repr(read(environ[key])).encode()]

    return application


@pytest.mark.parametrize("read", EXPECTED, ids=lambda read: read.__name__)
@pytest.mark.parametrize("framing", ["length", "chunked", "awaited"])
def test_a_body_is_read_by_the_classes_of_io(read: Callable[[Any], Any], framing: str) -> None:
    body = iter([BODY]) if framing == "chunked" else BODY
    headers = {"Expect": "100-continue"} if framing == "awaited" else {}
    with serving(reading(read)) as place:
        connection = http.client.HTTPConnection(*place, timeout=10)
        connection.request("POST", "/", body, headers, encode_chunked=framing == "chunked")
        assert connection.getresponse().read().decode() == repr(EXPECTED[read])
        connection.close()


def errors(stream: Any) -> Any:
    written = stream.write("a line\n")
    stream.writelines(["b", "c\n"])
    stream.flush()
    print("printed", file=stream)
    stream.write("lone \udc80 surrogate\n")
    with stream as same:
        same.write("within\n")
    stream.close()
    stream.write("after close\n")
    return written, stream.writable(), stream.closed, isinstance(stream, io.TextIOBase)


def test_errors_are_a_text_stream_that_cannot_be_closed(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(reading(errors, "wsgi.errors")) as place:
        assert ask(place, "/").body.decode() == repr((7, True, False, True))
        assert ask(place, "/").status == 200

    written = capfd.readouterr().err
    assert written.count("a line\nbc\nprinted\n") == written.count("within\nafter close\n") == 2
