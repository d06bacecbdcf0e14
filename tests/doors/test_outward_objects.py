"""The outward door, object by object: what is the caller's or the application's passes as itself."""

from __future__ import annotations

import gc
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from doors.scripted import application
from onionskin import AllowAddresses, RequestId
from support.wsgi import Blocks, Recorder, close, make_environ, run, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

pytestmark = pytest.mark.smoke

LAYERS: dict[str, Callable[[Any], Any]] = {
    "allow_addresses": lambda app: AllowAddresses(app, ["127.0.0.1"]),
    "request_id": lambda app: RequestId(app),
    "both": lambda app: RequestId(AllowAddresses(app, ["127.0.0.1"])),
}


@pytest.fixture(params=LAYERS)
def around(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Layers that let the request pass."""
    return LAYERS[request.param]


def returning(iterable: Any) -> Any:
    """An application that returns this very object."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iterable

    return app


def test_environ_is_the_callers_own_dict(around: Callable[[Any], Any]) -> None:
    seen = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.append(environ)
        return returning([b""])(environ, start_response)

    environ = make_environ()
    run(around(app), environ)
    assert seen[0] is environ


def test_environ_values_that_no_layer_touches_stay_the_same_objects() -> None:
    environ = make_environ("/caf\xc3\xa9?q=%20", HTTP_X_NAME="\xe9", CONTENT_TYPE="")
    before = dict(environ)
    run(AllowAddresses(application_of_nothing, ["127.0.0.1"]), environ)
    assert environ == before
    assert all(environ[key] is before[key] for key in before)


def application_of_nothing(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """An empty answer."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return []


def test_an_environ_with_only_what_is_demanded_is_enough() -> None:
    environ = make_environ(
        SCRIPT_NAME=None, PATH_INFO=None, QUERY_STRING=None, REMOTE_ADDR=None, HTTP_HOST=None
    )
    assert run(RequestId(application_of_nothing), environ).status == "200 OK"


def test_the_input_is_the_servers_own_object(around: Callable[[Any], Any]) -> None:
    environ = make_environ(method="POST", body=b"body")
    wsgi_input, errors = environ["wsgi.input"], environ["wsgi.errors"]
    run(around(application_of_nothing), environ)
    assert environ["wsgi.input"] is wsgi_input
    assert environ["wsgi.errors"] is errors
    assert wsgi_input.tell() == 0


@pytest.mark.parametrize(
    "iterable", [[b"one"], [b"one", b"two"], (b"one",), Blocks(b"one"), iter([b"one"]), []]
)
def test_the_applications_iterable_is_returned_itself(around: Callable[[Any], Any], iterable: Any) -> None:
    assert around(returning(iterable))(make_environ(), Recorder()) is iterable


def test_an_iterable_that_is_false_is_returned_itself(around: Callable[[Any], Any]) -> None:
    class Falsy(Blocks):
        def __len__(self) -> int:
            return 0

    iterable = Falsy(b"one")
    assert around(returning(iterable))(make_environ(), Recorder()) is iterable


def test_the_servers_file_wrapper_gets_its_own_object_back(around: Callable[[Any], Any]) -> None:
    class ServersOwn(Blocks):
        pass

    made = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        made.append(environ["wsgi.file_wrapper"](b"file"))
        return returning(made[0])(environ, start_response)

    environ = make_environ(**{"wsgi.file_wrapper": ServersOwn})
    assert around(app)(environ, Recorder()) is made[0]
    assert environ["wsgi.file_wrapper"] is ServersOwn


def test_the_door_does_not_close_what_it_hands_on(around: Callable[[Any], Any]) -> None:
    iterable = Blocks(b"one")
    returned = around(returning(iterable))(make_environ(), Recorder())
    assert (iterable.iterated, iterable.closed) == (0, 0)
    returned.close()
    assert iterable.closed == 1


def test_start_response_has_been_called_when_the_call_returns(around: Callable[[Any], Any]) -> None:
    start_response = Recorder()
    around(returning([b"one"]))(make_environ(), start_response)
    assert start_response.status == "200 OK"


def test_a_head_that_comes_late_goes_on_with_the_first_step(around: Callable[[Any], Any]) -> None:
    start_response = Recorder()
    iterable = around(application)(make_environ("/lazy"), start_response)
    assert start_response.calls == []
    steps = iter(iterable)
    first = next(steps)
    assert (start_response.status, first) == ("202 Accepted", b"late ")
    assert take(steps) == [b"start"]
    close(iterable)


def test_an_answer_of_ours_offers_close_but_no_length(around: Callable[[Any], Any]) -> None:
    answer = around(application)(make_environ("/lazy"), Recorder())
    assert iter(answer) is answer
    assert not hasattr(answer, "__len__")
    answer.close()
    answer.close()
    assert take(answer) == []


def test_an_answer_that_was_read_stays_at_its_end(around: Callable[[Any], Any]) -> None:
    answer = around(application)(make_environ("/lazy"), Recorder())
    assert take(answer) == [b"late ", b"start"]
    assert take(answer) == []
    close(answer)
    assert take(answer) == []


def test_an_answer_that_is_never_read_closes_the_iterable_once(around: Callable[[Any], Any]) -> None:
    iterable = Blocks(b"one")
    answer = around(lambda environ, start_response: iterable)(make_environ(), Recorder())
    assert iterable.closed == 0
    answer.close()
    answer.close()
    assert (iterable.iterated, iterable.closed, iterable.iterator_closed) == (0, 1, 0)


def test_an_answer_that_is_dropped_closes_the_iterable_once(around: Callable[[Any], Any]) -> None:
    iterable = Blocks(b"one")
    answer = around(lambda environ, start_response: iterable)(make_environ(), Recorder())
    del answer
    gc.collect()
    assert iterable.closed == 1


def test_an_answer_gives_one_block_for_each_of_the_applications(around: Callable[[Any], Any]) -> None:
    given: list[bytes] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        for block in (b"one", b"", b"two"):
            given.append(block)
            yield block

    answer = around(app)(make_environ(), Recorder())
    for count in (1, 2, 3):
        assert next(answer) == given[-1]
        assert len(given) == count
    answer.close()


def test_a_generator_that_was_begun_is_ended_by_close(around: Callable[[Any], Any]) -> None:
    ended = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            start_response("200 OK", [("Content-Type", "text/plain")])
            yield b"one"
            yield b"two"
        finally:
            ended.append(sys.exc_info()[0])

    answer = around(app)(make_environ(), Recorder())
    assert next(answer) == b"one"
    assert ended == []
    answer.close()
    assert ended == [GeneratorExit]


def test_an_iterable_may_call_back_into_the_answer_that_holds_it(around: Callable[[Any], Any]) -> None:
    answers: list[Any] = []
    inner: list[list[bytes]] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        inner.append(take(answers[0]))
        yield b"one"

    answers.append(around(app)(make_environ(), Recorder()))
    assert next(answers[0]) == b"one"
    assert inner == [[]]
    answers[0].close()


def test_an_iterable_may_call_the_layers_again(around: Callable[[Any], Any]) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        inside = run(layered, make_environ("/in")).body if environ["PATH_INFO"] == "/out" else b""
        yield b"(" + inside + b")"

    layered = around(app)
    assert run(layered, make_environ("/out")).body == b"(())"


def test_nothing_of_a_call_stays_alive_when_it_is_over(around: Callable[[Any], Any]) -> None:
    class Value(str):
        __slots__ = ("__weakref__",)

    value, iterable, start_response = Value("value"), Blocks(b"one"), Recorder()
    returned = around(returning_lazily(iterable))(make_environ(**{"tests.value": value}), start_response)
    close(returned)
    references = [weakref.ref(each) for each in (value, iterable, start_response)]
    del value, iterable, start_response, returned
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]


def returning_lazily(iterable: Any) -> Any:
    """An application whose head is still to come when the call returns."""
    holder = [iterable]
    return lambda environ, start_response: holder.pop()


def test_a_missing_start_response_is_an_error_and_not_an_answer(around: Callable[[Any], Any]) -> None:
    start_response = Recorder()
    iterable = Blocks(b"one")
    answer = around(lambda environ, start_response: iterable)(make_environ(), start_response)
    with pytest.raises(RuntimeError, match="start_response"):
        take(answer)
    close(answer)
    assert start_response.calls == []
    assert iterable.closed == 1


def test_the_arguments_of_a_call_may_be_given_by_name() -> None:
    def hello(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"hello"]

    statuses: list[str] = []
    layer = RequestId(hello)

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        statuses.append(status)

    for positional, named in [
        ((), {"environ": make_environ("/"), "start_response": start_response}),
        ((make_environ("/"),), {"start_response": start_response}),
    ]:
        assert b"".join(layer(*positional, **named)) == b"hello"
    assert statuses == ["200 OK"] * 2
    for named in ({"environ": {}}, {"environ": {}, "start": start_response}):
        with pytest.raises(TypeError, match="takes environ and start_response"):
            layer(**named)  # type: ignore[call-overload]
