"""``write()`` inside of the returned iterable, which PEP 3333 forbids and applications depend on."""

from __future__ import annotations

import http.client
import threading
from typing import TYPE_CHECKING, Any

import pytest

from onionskin import Compress, Headers, Onion, RequestId
from support.both_doors import serving
from support.client import ask
from support.servers import CALLS_FOR_PROOF
from support.wsgi import make_environ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.smoke

LARGE = b"x" * 3_000_000


def before_the_end(start_response: Any) -> Iterator[bytes]:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"abc")
    write(b"def")
    return
    yield


def between_blocks(start_response: Any) -> Iterator[bytes]:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"1")
    yield b"2"
    write(b"3")
    write(b"4")
    yield b"5"
    write(b"6")


def beside_empty_blocks(start_response: Any) -> Iterator[bytes]:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    yield b""
    write(b"1")
    yield b""
    write(b"2")
    yield b"3"
    yield b""


def large(start_response: Any) -> Iterator[bytes]:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"begin")
    yield b"|"
    write(LARGE)
    yield b"|"
    write(b"end")


def in_the_call_and_later(start_response: Any) -> Iterator[bytes]:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"1")

    def blocks() -> Iterator[bytes]:
        write(b"2")
        yield b"3"
        write(b"4")

    return blocks()


CASES: dict[Callable[[Any], Iterator[bytes]], bytes] = {
    before_the_end: b"abcdef",
    between_blocks: b"123456",
    beside_empty_blocks: b"123",
    large: b"begin|" + LARGE + b"|end",
    in_the_call_and_later: b"1234",
}
LAYERS: dict[str, Callable[[Any], Any]] = {
    "untouched": Onion(RequestId()),
    "head changed": Headers(response={"set": {"X-A": "b"}}),
    "body changed": Compress(),
}


@pytest.fixture(params=CASES, ids=lambda case: case.__name__)
def case(request: pytest.FixtureRequest) -> Callable[[Any], Iterator[bytes]]:
    return request.param


def writing(case: Callable[[Any], Iterator[bytes]]) -> Any:
    """An application that writes at /late, and does not anywhere else."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/late":
            return case(start_response)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]

    return application


@pytest.mark.parametrize("calls", [0, CALLS_FOR_PROOF], ids=["first call", "after a hundred calls"])
def test_our_server_sends_what_was_written_in_its_order(
    case: Callable[[Any], Iterator[bytes]], calls: int
) -> None:
    with serving(writing(case)) as place:
        for _ in range(calls):
            assert ask(place, "/").body == b"hello"
        for _ in range(2):  # The first one has shown that the application writes.
            assert ask(place, "/late").body == CASES[case]
        assert ask(place, "/").body == b"hello"


@pytest.mark.parametrize("layer", LAYERS)
def test_behind_the_outward_door_it_goes_out_in_its_order(
    case: Callable[[Any], Iterator[bytes]], layer: str
) -> None:
    sent: list[bytes] = []
    iterable = LAYERS[layer](writing(case))(make_environ("/late"), lambda *_: sent.append)
    for block in iterable:
        sent.append(block)

    assert b"".join(sent) == CASES[case]


@pytest.mark.parametrize("layer", LAYERS)
def test_natively_it_goes_through_the_layers_in_its_order(
    case: Callable[[Any], Iterator[bytes]], layer: str
) -> None:
    with serving(LAYERS[layer](writing(case))) as place:
        assert ask(place, "/late").body == CASES[case]


def test_what_is_written_leaves_at_once() -> None:
    read = threading.Event()

    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"first")
        assert read.wait(10)
        yield b"second"

    with serving(application) as place:
        connection = http.client.HTTPConnection(*place, timeout=10)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert response.read(5) == b"first"
        read.set()
        assert response.read() == b"second"
        connection.close()
