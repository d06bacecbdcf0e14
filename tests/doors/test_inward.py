"""The inward door: what our server gives a Python application, and what it takes from it."""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from doors.faults import WRONG_HEADS
from doors.scripted import application
from support.both_doors import serving
from support.client import ask, connected, read_all, read_until, reset
from support.gate import Gate
from support.servers import CALLS_FOR_PROOF, having_written, proved

if TYPE_CHECKING:
    from support.servers import Served, Servers

pytestmark = pytest.mark.smoke

CLOSING = "Host: example.org\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="session", params=["inline", "on a thread"])
def native(request: pytest.FixtureRequest, servers: Servers) -> Served:
    """The scripted application under our server, without a layer, by either way of calling it."""
    if request.param == "inline":
        return proved(servers.get("native", "doors.served:bare"))
    return having_written(servers.get("native", "doors.served:writing"))


def environ_of(native: Served, target: str = "/environ", method: str = "GET", **given: Any) -> dict[str, Any]:
    """What the application was given."""
    shown: dict[str, Any] = native.ask(target, method, **given).json()
    return shown


def raw(native: Served, request: str) -> bytes:
    """The answer to a request as it stands here."""
    with connected(native.address) as connection:
        connection.sendall(request.encode("latin-1"))
        return read_all(connection)


# What it gives.


def test_environ_is_a_plain_dict_with_all_that_is_demanded(native: Served) -> None:
    environ = environ_of(native)
    assert environ["type of environ"] == "dict"
    assert environ["REQUEST_METHOD"] == "GET"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["QUERY_STRING"]) == ("", "/environ", "")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", str(native.port))
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["wsgi.version"] == [1, 0]
    assert environ["wsgi.url_scheme"] == "http"
    assert (environ["wsgi.multithread"], environ["wsgi.multiprocess"]) == (True, False)
    assert environ["wsgi.run_once"] is False
    assert {"wsgi.input", "wsgi.errors", "wsgi.file_wrapper"} <= set(environ)


def test_environ_tells_the_client(native: Served) -> None:
    with connected(native.address) as connection:
        own = connection.getsockname()[1]
        connection.sendall(f"GET /environ HTTP/1.1\r\n{CLOSING}".encode())
        answer = read_all(connection)
    assert b'"REMOTE_ADDR": "127.0.0.1"' in answer
    assert f'"REMOTE_PORT": "{own}"'.encode() in answer


def test_every_cgi_value_is_a_text(native: Served) -> None:
    environ = environ_of(native, "/environ?a=b", "POST", body=b"body", headers=[("X-A", "b")])
    cgi = {key: value for key, value in environ.items() if "." not in key and key.isupper()}
    assert {key: value for key, value in cgi.items() if not isinstance(value, str)} == {}
    assert cgi["CONTENT_LENGTH"] == "4"


def test_what_one_request_brought_is_not_in_the_environ_of_the_next(native: Served) -> None:
    with connected(native.address) as connection:
        connection.sendall(
            b"POST /environ?q HTTP/1.1\r\nHost: a\r\nX-First: 1\r\nContent-Length: 2\r\n\r\nab"
        )
        first = read_until(connection, b"}")
        connection.sendall(f"GET /environ HTTP/1.1\r\n{CLOSING}".encode())
        second = read_all(connection)
    assert (b"HTTP_X_FIRST" in first, b"CONTENT_LENGTH" in first) == (True, True)
    assert (b"HTTP_X_FIRST" in second, b"CONTENT_LENGTH" in second) == (False, False)
    assert b'"QUERY_STRING": ""' in second


def test_a_path_is_decoded_once_and_each_character_is_a_byte(native: Served) -> None:
    environ = environ_of(native, "/environ/caf%C3%A9/%2541%20?caf%C3%A9=%2520")
    assert environ["PATH_INFO"] == "/environ/caf\xc3\xa9/%41 "
    assert environ["QUERY_STRING"] == "caf%C3%A9=%2520"
    assert environ["REQUEST_URI"] == environ["RAW_URI"] == "/environ/caf%C3%A9/%2541%20?caf%C3%A9=%2520"


def test_a_header_that_comes_twice_is_joined(native: Served) -> None:
    twice = [("X-A", "1"), ("Cookie", "a=1"), ("X-A", "2"), ("Cookie", "b=2")]
    environ = environ_of(native, headers=twice)
    assert (environ["HTTP_X_A"], environ["HTTP_COOKIE"]) == ("1,2", "a=1; b=2")


def test_content_type_and_length_have_no_prefix(native: Served) -> None:
    environ = environ_of(native, "/environ", "POST", body=b"body", headers=[("Content-Type", "text/x")])
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/x", "4")
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & set(environ)


def test_a_chunked_body_has_its_length_when_the_application_sees_it(native: Served) -> None:
    chunks = "4\r\none\n\r\n5\r\ntwo\n!\r\n0\r\n\r\n"
    request = f"POST {{}} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{CLOSING}{chunks}"
    assert raw(native, request.format("/echo?way=read")).endswith(b"\r\n\r\none\ntwo\n!")
    shown = raw(native, request.format("/environ"))
    assert b'"CONTENT_LENGTH": "9"' in shown
    assert b"TRANSFER_ENCODING" not in shown


def test_the_input_ends_by_itself(native: Served) -> None:
    assert native.ask("/read_all", "POST", body=b"all of it").body == b"all of it"
    assert native.ask("/read_all", "GET").body == b""


def test_a_body_that_waits_to_be_asked_for_is_complete_before_the_call(native: Served) -> None:
    expecting = "POST {} HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n" + CLOSING
    for target, end in (("/echo?way=read", b"\r\n\r\nbody"), ("/hello", b"hello\n")):
        with connected(native.address) as connection:
            connection.sendall(expecting.format(target).encode())
            assert read_until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(b"body")
            assert read_all(connection).endswith(end)


# What it takes.


@pytest.mark.parametrize("of", WRONG_HEADS)
def test_a_head_that_is_not_allowed_is_an_error_of_the_application(native: Served, of: str) -> None:
    reply = native.ask(f"/head_fault?of={of.replace(' ', '+')}")
    assert (reply.status, reply.body) == (500, b"Internal Server Error\n")


@pytest.mark.parametrize("target", ["doors.served:bare", "doors.served:writing"])
def test_a_hop_by_hop_header_is_named_in_the_log(servers: Servers, target: str) -> None:
    # A server of its own: after a few faults of one kind the next is only counted.
    fresh = servers.get("native", target, ONIONSKIN_ERROR_LOG_LEVEL="warning")
    fresh.ask("/head_fault?of=upgrade")
    assert "Upgrade" in fresh.log()
    assert "/head_fault" in fresh.log()


FAULTS = ["early_fault", "late_fault", "first_step_fault", "text", "text_in_a_list", "nothing"]


@pytest.mark.parametrize("target", ["silent", "silent_list", "silent_and_empty", *FAULTS])
def test_a_fault_is_a_500_on_a_connection_that_goes_on(native: Served, target: str) -> None:
    with connected(native.address) as connection:
        connection.sendall(f"GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert read_until(connection, b"Error\n").startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        connection.sendall(f"GET /hello HTTP/1.1\r\n{CLOSING}".encode())
        assert read_all(connection).endswith(b"hello\n")


def test_nothing_of_the_fault_is_told_to_the_client(native: Served) -> None:
    reply = native.ask("/early_fault")
    assert b"Fault" not in reply.body
    assert b"before the head" not in reply.body


@pytest.mark.parametrize("calls", [0, 1], ids=["first", "second"])
def test_what_is_written_leaves_before_the_call_is_over(calls: int) -> None:
    with serving(application) as address, Gate() as gate:
        for _ in range(calls):
            assert ask(address, "/write_only").body == b"written"
        with connected(address) as connection:
            connection.sendall(f"GET /write_slowly?gate={gate.port} HTTP/1.1\r\n{CLOSING}".encode())
            gate.reached()
            read_until(connection, b"first|")
            gate.open()
            assert b"second" in read_all(connection)


@pytest.mark.parametrize("calls", [0, CALLS_FOR_PROOF], ids=["at once", "after long"])
def test_what_is_written_is_whole_whenever_writing_begins(calls: int) -> None:
    with serving(application) as address:
        for _ in range(calls):
            ask(address, "/hello")
        for _ in range(2):
            assert ask(address, "/write").body == b"written twice, then iterated"
            assert ask(address, "/write_and_list").body == b"written listed"


def test_a_head_answer_keeps_the_length_of_the_body_that_it_has_not(native: Served) -> None:
    assert native.ask("/hello", "HEAD").get("Content-Length") == "6"
    assert native.ask("/unsized", "HEAD").body == b""


@pytest.mark.parametrize(("target", "status"), [("/no_content", 204), ("/not_modified", 304)])
def test_an_answer_that_can_have_no_body_has_no_framing(native: Served, target: str, status: int) -> None:
    reply = native.ask(target)
    assert (reply.status, reply.body) == (status, b"")
    assert (reply.get("Content-Length"), reply.get("Transfer-Encoding")) == (None, None)


def test_a_body_without_a_length_is_chunked_for_a_client_that_knows_it(native: Served) -> None:
    assert native.ask("/counted").get("Transfer-Encoding") == "chunked"
    answer = raw(native, "GET /counted HTTP/1.0\r\n\r\n")
    assert b"transfer-encoding" not in answer.lower()
    assert answer.endswith(b"\r\n\r\none two")


@pytest.mark.parametrize("target", ["/unsized", "/list", "/tuple", "/empty"])
def test_a_body_that_is_all_there_gets_its_length(native: Served, target: str) -> None:
    reply = native.ask(target)
    assert reply.get("Content-Length") == str(len(reply.body))


def test_header_names_leave_in_their_registered_spelling(native: Served) -> None:
    names = [name for name, _ in native.ask("/etag").headers]
    assert {"Content-Type", "ETag", "WWW-Authenticate"} <= set(names)


def test_a_client_that_goes_away_before_the_first_block_closes_the_iterable(native: Served) -> None:
    key = uuid.uuid4().hex
    with Gate() as gate, connected(native.address) as connection:
        connection.sendall(f"GET /stream_counted?gate={gate.port}&key={key} HTTP/1.1\r\n{CLOSING}".encode())
        gate.reached()
        reset(connection)
        gate.open()
    assert native.ask(f"/counts?of={key}&wait=closed").json() == {"iterated": 1, "closed": 1}


def test_calls_run_at_the_same_time(native: Served) -> None:
    with Gate() as gate, connected(native.address) as first, connected(native.address) as second:
        for connection in (first, second):
            connection.sendall(f"GET /stream?gate={gate.port} HTTP/1.1\r\n{CLOSING}".encode())
        gate.reached()
        gate.reached()
        gate.open()
        assert b"second" in read_all(first)
        assert b"second" in read_all(second)


def test_layers_answer_while_every_thread_is_in_the_application(servers: Servers) -> None:
    served = servers.get("native", "doors.served:guarded")
    with Gate() as gate, contextlib.ExitStack() as opened:
        busy = [opened.enter_context(connected(served.address)) for _ in range(4)]
        for connection in busy:
            connection.sendall(f"GET /stream?gate={gate.port} HTTP/1.1\r\n{CLOSING}".encode())
            gate.reached()
        assert served.ask("/refused").status == 403
        gate.open()
        assert all(b"second" in read_all(connection) for connection in busy)


@pytest.mark.parametrize("target", ["/lazy_and_empty", "/empty"])
def test_an_empty_answer_to_a_head_request_gets_no_length_of_ours(native: Served, target: str) -> None:
    # What a GET would give is not known: a length must not say that it is nothing (RFC 9110 section 8.6).
    assert native.ask(target, "HEAD").get("Content-Length") is None
