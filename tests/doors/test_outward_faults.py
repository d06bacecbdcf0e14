"""The outward door when something goes wrong: exceptions are the application's own, close() comes once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest

from doors.faults import WRONG_HEADS
from doors.scripted import application
from onionskin import AllowAddresses, RequestId
from support.wsgi import Blocks, Recorder, close, make_environ, run, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

pytestmark = pytest.mark.smoke


@pytest.fixture(params=["allow_addresses", "request_id", "both"])
def around(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Layers that let the request pass."""
    return {
        "allow_addresses": lambda app: AllowAddresses(app, ["127.0.0.1"]),
        "request_id": lambda app: RequestId(app),
        "both": lambda app: RequestId(AllowAddresses(app, ["127.0.0.1"])),
    }[request.param]


class Fault(Exception):
    """The application's own."""


def start(start_response: Any) -> None:
    start_response("200 OK", [("Content-Type", "text/plain")])


def test_the_applications_exception_comes_out_as_itself(around: Callable[[Any], Any]) -> None:
    fault = Fault()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise fault

    start_response = Recorder()
    with pytest.raises(Fault) as raised:
        around(app)(make_environ(), start_response)
    assert raised.value is fault
    assert "app" in [entry.name for entry in raised.traceback]
    assert start_response.calls == []


def test_an_exception_after_start_response_comes_out_as_itself(around: Callable[[Any], Any]) -> None:
    fault = Fault()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start(start_response)
        raise fault

    with pytest.raises(Fault) as raised:
        around(app)(make_environ(), Recorder())
    assert raised.value is fault


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exceptions_that_are_no_errors_come_out_too(
    around: Callable[[Any], Any], kind: type[BaseException]
) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise kind

    with pytest.raises(kind):
        around(app)(make_environ(), Recorder())


def test_an_exception_out_of_a_late_step_comes_out_as_itself(around: Callable[[Any], Any]) -> None:
    fault = Fault()

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start(start_response)
        yield b"one"
        raise fault

    answer = around(app)(make_environ(), Recorder())
    assert next(answer) == b"one"
    with pytest.raises(Fault) as raised:
        next(answer)
    assert raised.value is fault
    close(answer)


def test_an_exception_before_a_late_head_comes_out_as_itself(around: Callable[[Any], Any]) -> None:
    fault = Fault()

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        raise fault
        yield b""

    start_response = Recorder()
    answer = around(app)(make_environ(), start_response)
    with pytest.raises(Fault) as raised:
        take(answer)
    assert raised.value is fault
    assert start_response.calls == []
    close(answer)


def test_no_block_comes_before_start_response_not_even_an_empty_one(around: Callable[[Any], Any]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        yield b""
        yield b""
        start(start_response)
        yield b"late"

    outcome = run(validator(around(app)))
    assert (outcome.status, outcome.body) == ("200 OK", b"late")


class Failing(Blocks):
    """Raises in one of its steps, or when it is closed."""

    def __init__(self, fault: Exception, where: str) -> None:
        super().__init__(b"one")
        self.fault, self.where = fault, where

    def __iter__(self) -> Any:
        steps = super().__iter__()
        if self.where == "iter":
            raise self.fault
        return failing(self.fault) if self.where == "first" else steps

    def close(self) -> None:
        super().close()
        if self.where == "close":
            raise self.fault


def failing(fault: Exception) -> Iterator[bytes]:
    raise fault
    yield b""


@pytest.mark.parametrize("where", ["iter", "first", "close"])
def test_close_is_called_once_whatever_raises(around: Callable[[Any], Any], where: str) -> None:
    fault = Fault()
    iterable = Failing(fault, where)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if where != "close":
            return iterable
        start(start_response)
        return iterable

    returned = around(app)(make_environ(), Recorder())
    with pytest.raises(Fault) as raised:
        try:
            take(returned)
        finally:
            close(returned)
    assert raised.value is fault
    assert (iterable.iterated, iterable.closed, iterable.iterator_closed) == (1, 1, 0)


def test_what_close_raises_comes_out_of_our_close_too(around: Callable[[Any], Any]) -> None:
    fault = Fault()
    iterable = Failing(fault, "close")
    answer = around(lambda environ, start_response: iterable)(make_environ(), Recorder())
    with pytest.raises(Fault) as raised:
        answer.close()
    assert raised.value is fault
    assert iterable.closed == 1
    answer.close()
    assert iterable.closed == 1


def test_a_start_response_of_the_server_that_raises_closes_the_iterable(around: Callable[[Any], Any]) -> None:
    iterable = Blocks(b"one")

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start(start_response)
        return iterable

    def start_response(*given: Any) -> Any:
        raise Fault

    with pytest.raises(Fault):
        around(app)(make_environ(), start_response)
    assert iterable.closed == 1


def test_a_replacement_reaches_the_server_with_its_exc_info(around: Callable[[Any], Any]) -> None:
    fault = Fault()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start(start_response)
        return replacing(start_response, fault)

    start_response = Recorder()
    returned = around(app)(make_environ(), start_response)
    assert start_response.status == "200 OK"
    assert b"".join(returned) == b"an error page"
    assert start_response.status == "503 Sorry"
    assert start_response.calls[-1][2][1] is fault
    assert start_response.get("X-Second") == "yes"


def replacing(start_response: Any, fault: Exception) -> Iterator[bytes]:
    try:
        raise fault
    except Fault:
        start_response("503 Sorry", [("X-Second", "yes")], sys.exc_info())
    yield b"an error page"


def test_a_replacement_has_what_the_layers_did_to_the_first_head() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("X-Request-Id", "the application's"), ("X-First", "yes")])
        return replacing(start_response, Fault())

    start_response = Recorder()
    returned = RequestId(app, trust_inbound=True)(make_environ(HTTP_X_REQUEST_ID="mine"), start_response)
    assert start_response.get("X-Request-Id") == "mine"
    take(returned)
    assert (start_response.get("X-Request-Id"), start_response.get("X-First")) == ("mine", None)


def test_a_replacement_that_comes_too_late_raises_the_applications_exception(
    around: Callable[[Any], Any],
) -> None:
    fault = Fault()

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start(start_response)
        return replacing(start_response, fault)

    start_response = Recorder()
    returned = around(app)(make_environ(), start_response)
    start_response.head_is_sent = True
    with pytest.raises(Fault) as raised:
        take(returned)
    assert raised.value is fault
    assert len(start_response.calls) == 1


def test_a_replacement_during_the_call_is_what_the_layers_see(around: Callable[[Any], Any]) -> None:
    outcome = run(around(application), make_environ("/replaced"))
    assert (outcome.status, outcome.body) == ("503 Sorry", b"an error page")


def test_a_second_start_response_is_refused_even_after_an_exception(around: Callable[[Any], Any]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start(start_response)
        for _ in range(2):
            with pytest.raises(AssertionError, match="again"):
                start(start_response)
        return [b"refused"]

    assert run(around(app)).body == b"refused"


@pytest.mark.parametrize("of", WRONG_HEADS)
def test_a_forbidden_head_is_raised_at_the_application(around: Callable[[Any], Any], of: str) -> None:
    raised = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            start_response(*WRONG_HEADS[of])
        except (ValueError, TypeError, AssertionError) as error:
            raised.append(error)
        else:
            return [b"taken"]
        start(start_response)
        return [b"refused"]

    assert run(around(app)).body == b"refused"
    assert len(raised) == 1


@pytest.mark.parametrize("data", ["text", bytearray(b"a"), None, 1])
def test_write_takes_bytes_only(around: Callable[[Any], Any], data: Any) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        with pytest.raises(TypeError, match="bytes"):
            write(data)
        return [b"refused"]

    assert run(around(app)).body == b"refused"


def test_written_data_comes_before_the_iterables(around: Callable[[Any], Any]) -> None:
    assert run(around(application), make_environ("/write")).body == b"written twice, then iterated"


def test_data_written_with_a_late_head_comes_before_the_iterables(around: Callable[[Any], Any]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])(b"written ")
        yield b"iterated"

    assert run(around(app)).body == b"written iterated"


def test_data_written_in_an_iterable_that_is_returned_after_the_head(around: Callable[[Any], Any]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])

        def blocks() -> Iterator[bytes]:
            write(b"abc")
            write(b"def")
            return
            yield b""

        return blocks()

    assert run(around(app)).body == b"abcdef"


def test_data_written_with_a_late_head_is_all_there_is(around: Callable[[Any], Any]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])(b"written")
        return
        yield b""

    assert run(around(app)).body == b"written"


@pytest.mark.parametrize("path", ["/lazy_and_empty", "/empty"])
def test_an_empty_answer_to_a_head_request_gets_no_length_of_ours(
    around: Callable[[Any], Any], path: str
) -> None:
    # What a GET would give is not known: a length must not say that it is nothing (RFC 9110 section 8.6).
    outcome = run(around(application), make_environ(path, "HEAD"))
    assert "content-length" not in [name.lower() for name, _ in outcome.headers]


def test_a_target_that_no_layer_can_hold_is_too_long() -> None:
    environ = make_environ("/")
    environ["QUERY_STRING"] = "x" * 70_000
    outcome = run(RequestId(lambda _environ, _start_response: []), environ)
    assert (outcome.status, outcome.body) == ("414 URI Too Long", b"URI Too Long\n")
