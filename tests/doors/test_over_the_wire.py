"""What a client sees of each thing that WSGI applications do, in our layers, from every server.

Under our own server the layers run natively; under the others they are middleware.
"""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from doors import bodies
from support import shapes
from support.client import connected, read_all, read_until, reset
from support.gate import Gate
from support.servers import KINDS, having_written, proved

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.servers import Served, Servers

LAYERED = "doors.served:layered"
WRITTEN = "doors.served:written"
WRITING = "native, writing"
"""Our server calls an application in another way if it may write()."""
NO_ANSWER = ConnectionError
CLOSING = "Host: example.org\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="session", params=[*KINDS, WRITING])
def door(request: pytest.FixtureRequest, servers: Servers) -> Served:
    """The scripted application in two layers."""
    if request.param == WRITING:
        return having_written(servers.get("native", WRITTEN))
    served = servers.get(request.param, LAYERED)
    return proved(served) if served.kind == "native" else served


@pytest.fixture
def writer(server: Callable[[str], Served]) -> Served:
    """The same, where applications write()."""
    return server(WRITTEN)


@pytest.fixture
def key() -> str:
    """What this test counts under."""
    return uuid.uuid4().hex


def counts(door: Served, key: str, wait: str = "closed") -> Any:
    """What was counted, once ``wait`` is among it."""
    return door.ask(f"/counts?of={key}&wait={wait}").json()


def failure(door: Served, target: str) -> int | None:
    """The status of an answer that is an error; None for a connection that ends without an answer."""
    with contextlib.suppress(NO_ANSWER):
        return door.ask(target).status
    return None


def skip_for(door: Served, *kinds: str, because: str) -> None:
    """What a server does by itself, with and without us, is not ours to promise; see test_transparency.py."""
    if door.kind in kinds:
        pytest.skip(f"{door.kind} {because}")


@pytest.mark.smoke
@pytest.mark.parametrize(("target", "body"), shapes.ITERATED.items())
def test_a_body_of_any_shape_arrives_whole(door: Served, target: str, body: bytes) -> None:
    reply = door.ask(target)
    assert (reply.status, reply.get("Content-Type"), reply.whole) == (200, "text/plain", True)
    assert reply.body == body


@pytest.mark.smoke
@pytest.mark.parametrize(("target", "body"), shapes.WRITTEN.items())
def test_what_is_written_comes_before_what_is_iterated(writer: Served, target: str, body: bytes) -> None:
    reply = writer.ask(target)
    assert (reply.status, reply.get("Content-Type"), reply.whole) == (200, "text/plain", True)
    assert reply.body == body


def test_a_file_of_the_system_arrives_from_where_it_stands(door: Served) -> None:
    skip_for(door, "uwsgi", because="sends a file from its beginning")
    assert door.ask("/real_file").body == Path(bodies.__file__).read_bytes()[3:]


def test_start_response_may_be_called_with_the_first_step(door: Served) -> None:
    reply = door.ask("/lazy")
    assert (reply.status, reply.reason, reply.get("X-Lazy")) == (202, "Accepted", "yes")
    assert reply.body == b"late start"


def test_start_response_may_be_called_by_an_iterable_that_is_empty(door: Served) -> None:
    reply = door.ask("/lazy_and_empty")
    assert (reply.status, reply.body, reply.whole) == (202, b"", True)


def test_a_head_is_replaced_before_the_first_byte(door: Served) -> None:
    for target in ("/replaced", "/replaced_without_a_first"):
        reply = door.ask(target)
        assert (reply.status, reply.reason, reply.body) == (503, "Sorry", b"an error page")
        assert (reply.get("X-First"), reply.get("X-Second")) == (None, "yes")


def test_a_head_is_replaced_by_an_iterable_that_has_given_nothing_yet(door: Served) -> None:
    reply = door.ask("/replaced_lazily")
    assert (reply.status, reply.reason, reply.body) == (503, "Sorry", b"an error page")
    assert (reply.get("X-First"), reply.get("X-Second")) == (None, "yes")


def test_an_empty_block_does_not_send_the_head(door: Served) -> None:
    skip_for(door, "wsgiref", "gunicorn", "gthread", "uwsgi", because="sends the head with an empty block")
    reply = door.ask("/replaced_after_a_blank")
    assert (reply.status, reply.reason, reply.body) == (503, "Sorry", b"an error page")


def test_layers_do_their_work_on_a_replaced_head_too(door: Served) -> None:
    reply = door.ask("/replaced_lazily", headers=[("X-Request-Id", "mine")])
    assert (reply.status, reply.get("X-Request-Id")) == (503, "mine")


def test_exc_info_after_the_first_byte_raises_the_applications_exception(door: Served) -> None:
    skip_for(door, "uwsgi", because="ends the connection")
    reply = door.ask("/replaced_too_late")
    assert (reply.status, reply.body) == (200, b"first|it came")


def test_exc_info_after_write_raises_the_applications_exception(writer: Served) -> None:
    reply = writer.ask("/write_then_fail")
    assert (reply.status, reply.body) == (200, b"writtenit came")


def test_a_second_start_response_without_exc_info_is_refused(door: Served) -> None:
    reply = door.ask("/twice")
    assert (reply.status, reply.body) == (200, b"refused")


@pytest.mark.parametrize(
    "target", ["/silent", "/silent_list", "/silent_and_empty", "/early_fault", "/head_fault?of=connection"]
)
def test_a_response_without_a_head_is_an_error_and_the_server_goes_on(door: Served, target: str) -> None:
    # uWSGI ends the connection without an answer where the others say 500.
    assert failure(door, target) == (None if door.kind == "uwsgi" else 500)
    assert door.ask("/hello").body == b"hello\n"


@pytest.mark.parametrize("target", ["/late_fault", "/first_step_fault", "/nothing"])
def test_a_fault_before_the_first_byte_is_never_a_success(door: Served, target: str) -> None:
    skip_for(door, "uwsgi", because="sends the head that it has")
    assert failure(door, target) == 500
    assert door.ask("/hello").body == b"hello\n"


@pytest.mark.parametrize("target", ["/text", "/text_in_a_list"])
def test_blocks_that_are_not_bytes_are_an_error(door: Served, target: str) -> None:
    skip_for(door, "gunicorn", "gthread", "uwsgi", "waitress", because="has sent the head by then")
    assert failure(door, target) == 500
    assert door.ask("/hello").body == b"hello\n"


def test_a_fault_in_the_middle_cuts_the_body_off(door: Served, key: str) -> None:
    reply = door.ask(f"/middle_fault?key={key}")
    assert (reply.status, reply.body, reply.whole) == (200, b"one ", False)
    assert counts(door, key) == {"iterated": 1, "closed": 1}


def test_the_applications_exception_is_in_the_servers_log(door: Served) -> None:
    with contextlib.suppress(NO_ANSWER):
        door.ask("/early_fault")
    assert "Fault: before the head" in door.log()


def test_a_close_that_raises_spoils_neither_the_answer_nor_the_server(door: Served, key: str) -> None:
    reply = door.ask(f"/close_fault?key={key}")
    assert (reply.status, reply.body, reply.whole) == (200, b"done", True)
    assert counts(door, key) == {"iterated": 1, "closed": 1}


@pytest.mark.parametrize("target", ["/counted", "/sized", "/blanks", "/large", "/underrun"])
def test_close_is_called_once_and_on_the_iterable_at_the_end(door: Served, target: str, key: str) -> None:
    door.ask(f"{target}?key={key}")
    assert counts(door, key) == {"iterated": 1, "closed": 1}


@pytest.mark.parametrize("target", ["/first_step_fault", "/text", "/silent"])
def test_close_is_called_once_after_a_fault(door: Served, target: str, key: str) -> None:
    failure(door, f"{target}?key={key}")
    assert counts(door, key).get("closed") == 1


def test_close_is_called_once_for_a_head_request(door: Served, key: str) -> None:
    reply = door.ask(f"/sized?key={key}", "HEAD")
    assert (reply.status, reply.get("Content-Length"), reply.body) == (200, "7", b"")
    assert counts(door, key)["closed"] == 1


@pytest.mark.parametrize(("target", "status"), [("/no_content", 204), ("/not_modified", 304)])
def test_close_is_called_once_where_no_body_is(door: Served, target: str, status: int, key: str) -> None:
    reply = door.ask(f"{target}?key={key}")
    assert (reply.status, reply.body, reply.whole) == (status, b"", True)
    assert counts(door, key)["closed"] == 1


def test_close_is_called_once_when_the_client_goes_away(door: Served, key: str) -> None:
    with connected(door.address) as connection:
        connection.sendall(f"GET /endless?key={key} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        read_until(connection, b"on and on")
        reset(connection)
    assert counts(door, key) == {"iterated": 1, "closed": 1}


def test_a_head_answer_has_the_applications_headers_and_no_body(door: Served) -> None:
    with connected(door.address) as connection:
        connection.sendall(f"HEAD /hello HTTP/1.1\r\n{CLOSING}".encode())
        head, _, body = read_all(connection).partition(b"\r\n\r\n")
    assert b"content-length: 6" in head.lower()
    # These send what the application gives.
    assert body == (b"hello\n" if door.kind in ("wsgiref", "uwsgi", "waitress") else b"")


def test_no_block_waits_for_the_next(door: Served) -> None:
    with Gate() as gate, connected(door.address) as connection:
        connection.sendall(
            f"GET /stream?gate={gate.port} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        )
        gate.reached()
        read_until(connection, b"first|")
        gate.open()
        assert b"second" in read_all(connection)


def test_a_body_is_not_longer_than_its_content_length(door: Served) -> None:
    skip_for(door, "wsgiref", "uwsgi", because="passes on whatever the application gives")
    with connected(door.address) as connection:
        connection.sendall(f"GET /overrun HTTP/1.1\r\n{CLOSING}".encode())
        assert read_all(connection).endswith(b"\r\n\r\none ")


def test_a_body_that_is_too_short_ends_the_connection(door: Served) -> None:
    reply = door.ask("/underrun")
    assert (reply.get("Content-Length"), reply.body, reply.whole) == ("40", b"one two", False)


def test_a_reason_phrase_is_the_applications_own(door: Served) -> None:
    assert (door.ask("/reason").status, door.ask("/reason").reason) == (299, "All Is Very Well")
    assert (door.ask("/other_reason").status, door.ask("/other_reason").reason) == (404, "Gone Fishing")


def test_headers_are_latin_1_both_ways(door: Served) -> None:
    name = "".join(chr(code) for code in (0xE9, 0xFF, 0xA1))
    reply = door.ask("/latin1", headers=[("X-Name", name)])
    assert (reply.get("X-Name"), reply.get("X-Length"), reply.body) == (name, "3", name.encode("latin-1"))


def test_cookies_stay_apart_and_in_order(door: Served) -> None:
    assert door.ask("/cookies").get_all("Set-Cookie") == ["a=1; Path=/", "b=2"]


def test_a_header_list_that_is_changed_later_changes_nothing(door: Served) -> None:
    reply = door.ask("/mutated")
    assert (reply.get("X-Kept"), reply.get("X-Added")) == ("as it was", None)


BODY = b"first line\nsecond\n\nlast without end"
PIECES = {
    "read": BODY,
    "blocks": b"|".join(BODY[at : at + 7] for at in range(0, len(BODY), 7)),
    "readline": b"first line\n|second\n|\n|last without end",
    "short lines": b"firs|t li|ne\n|seco|nd\n|\n|last| wit|hout| end",
    "readlines": b"first line\n|second\n|\n|last without end",
    "iteration": b"first line\n|second\n|\n|last without end",
    "mixed": b"fir|st line\n|second\n|\n|last without end",
}


@pytest.mark.parametrize("way", PIECES)
def test_a_request_body_can_be_read_in_every_way(door: Served, way: str) -> None:
    if way != "read":
        skip_for(door, "wsgiref", because="gives the connection itself, which has no end")
    if way == "short lines":
        skip_for(door, "uwsgi", because="takes no notice of the size of a line")
    reply = door.ask(f"/echo?way={way.replace(' ', '+')}", "POST", body=BODY)
    assert reply.body == PIECES[way]


def test_a_large_request_body_arrives_whole(door: Served) -> None:
    body = b"0123456789abcdef" * 200_000
    assert door.ask("/echo?way=read", "POST", body=body).body == body


def test_a_body_that_nobody_read_does_not_spoil_the_next_request(door: Served) -> None:
    assert door.ask("/hello", "POST", body=b"x" * 1000).body == b"hello\n"
    assert door.ask("/hello").body == b"hello\n"


def test_a_header_with_an_underscore_cannot_pose_as_the_request_id(server: Callable[[str], Served]) -> None:
    with connected(server("doors.served:untrusting").address) as connection:
        connection.sendall(f"GET /environ HTTP/1.1\r\nX_Request_Id: mine\r\n{CLOSING}".encode())
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.")
    assert b"mine" not in answer


def test_close_is_called_once_after_write_too(writer: Served, key: str) -> None:
    writer.ask(f"/write?key={key}")
    assert counts(writer, key) == {"iterated": 1, "closed": 1}
