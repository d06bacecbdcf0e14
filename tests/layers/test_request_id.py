"""RequestId: every request has an id and a trace context, and all parts tell the same."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

import pytest

from onionskin import Onion, RequestId

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.both_doors import Seen

    Through = Callable[..., Seen]

pytestmark = pytest.mark.smoke

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


def told(seen: Seen) -> dict[str, Any]:
    """What the application was given."""
    assert seen.environ is not None
    return seen.environ


def test_the_id_is_the_same_in_request_environ_and_response(through: Through) -> None:
    seen = through(RequestId())
    environ = told(seen)
    assert environ["onionskin.request_id"] == environ["HTTP_X_REQUEST_ID"] == seen.get("X-Request-Id")
    assert len(environ["onionskin.request_id"]) == 36


@pytest.mark.parametrize(("kind", "version"), [("uuid7", 7), ("uuid4", 4)])
def test_an_id_is_a_uuid_of_the_kind_that_was_asked_for(through: Through, kind: Any, version: int) -> None:
    own = str(told(through(RequestId(format=kind)))["onionskin.request_id"])
    assert str(uuid.UUID(own)) == own
    assert (uuid.UUID(own).version, uuid.UUID(own).variant) == (version, uuid.RFC_4122)


def test_ids_are_ordered_by_time_and_all_different(through: Through) -> None:
    ids = [through(RequestId()).get("X-Request-Id") or "" for _ in range(4)]
    times = [own[:13] for own in ids]
    assert times == sorted(times)
    assert len(set(ids)) == 4


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_does_not_repeat_the_ids_of_its_parent() -> None:
    def ask() -> bytes:
        def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            start_response("200 OK", [])
            return [environ["onionskin.request_id"].encode()]

        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        return b"".join(RequestId(answer, format="uuid4")(environ, lambda *_: None))

    ask()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, ask())
        os._exit(0)
    own = ask()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert len(of_the_child := pipe.read()) == len(own) == 36
    os.waitpid(child, 0)
    assert of_the_child != own


def test_an_id_from_outside_is_replaced(through: Through) -> None:
    seen = through(RequestId(), headers=[("X-Request-Id", "mine")])
    assert seen.get("X-Request-Id") == told(seen)["HTTP_X_REQUEST_ID"] != "mine"


def test_an_id_from_a_trusted_client_is_kept(through: Through) -> None:
    for own in ("mine", "a", "aZ09._~+/=:@-", "x" * 128):
        seen = through(RequestId(trust_inbound=True), headers=[("X-Request-Id", own)])
        assert seen.get("X-Request-Id") == told(seen)["onionskin.request_id"] == own


@pytest.mark.parametrize(
    "wrong", ["", "x" * 129, "a b", "a,b", "a;b", 'a"b', "<script>", "%0a", "caf\xe9", "a\tb", "a\\b"]
)
def test_an_id_that_could_do_harm_is_replaced_even_if_trusted(through: Through, wrong: str) -> None:
    seen = through(RequestId(trust_inbound=True), headers=[("X-Request-Id", wrong)])
    assert seen.get("X-Request-Id") == told(seen)["HTTP_X_REQUEST_ID"] == told(seen)["onionskin.request_id"]
    assert uuid.UUID(seen.get("X-Request-Id")).version == 7


def test_an_id_that_comes_twice_is_replaced_even_if_trusted(through: Through) -> None:
    twice = [("X-Request-Id", "mine"), ("X-Request-Id", "mine")]
    seen = through(RequestId(trust_inbound=True), headers=twice)
    assert uuid.UUID(seen.get("X-Request-Id")).version == 7
    assert told(seen)["HTTP_X_REQUEST_ID"] == seen.get("X-Request-Id")


def test_max_len_is_the_longest_id_that_is_kept(through: Through) -> None:
    layer = RequestId(trust_inbound=True, max_len=3)
    assert through(layer, headers=[("X-Request-Id", "abc")]).get("X-Request-Id") == "abc"
    assert through(layer, headers=[("X-Request-Id", "abcd")]).get("X-Request-Id") != "abcd"


def test_an_id_that_the_application_sets_is_replaced(through: Through) -> None:
    seen = through(RequestId(), answers={"X-Request-Id": "the application's"})
    assert seen.get("X-Request-Id") == told(seen)["onionskin.request_id"]


def test_the_id_has_the_header_that_was_asked_for(through: Through) -> None:
    seen = through(RequestId(header="X-Correlation-Id"), headers=[("X-Request-Id", "left alone")])
    environ = told(seen)
    assert seen.get("X-Correlation-Id") == environ["HTTP_X_CORRELATION_ID"] == environ["onionskin.request_id"]
    assert (environ["HTTP_X_REQUEST_ID"], seen.get("X-Request-Id")) == ("left alone", None)


def test_a_request_gets_a_trace_context_that_leaves_the_decision_open(through: Through) -> None:
    environ = told(through(RequestId()))
    version, trace, parent, flags = environ["HTTP_TRACEPARENT"].split("-")
    assert (version, flags, trace) == ("00", "00", environ["onionskin.trace_id"])
    assert (len(trace), len(parent)) == (32, 16)
    assert int(trace, 16) * int(parent, 16) > 0


def test_a_trace_context_from_a_trusted_client_is_kept_to_the_byte(through: Through) -> None:
    headers = [("Traceparent", TRACE), ("Tracestate", "vendor=1,other=2")]
    environ = told(through(RequestId(trust_inbound=True), headers=headers))
    assert (environ["HTTP_TRACEPARENT"], environ["HTTP_TRACESTATE"]) == (TRACE, "vendor=1,other=2")
    assert environ["onionskin.trace_id"] == "a" * 32


def test_a_trace_context_from_outside_is_replaced_and_its_state_removed(through: Through) -> None:
    environ = told(through(RequestId(), headers=[("Traceparent", TRACE), ("Tracestate", "vendor=1")]))
    assert environ["HTTP_TRACEPARENT"] != TRACE
    assert environ["onionskin.trace_id"] != "a" * 32
    assert "HTTP_TRACESTATE" not in environ


@pytest.mark.parametrize(
    "wrong",
    [
        "00",
        TRACE.upper(),
        f"00-{'0' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        f"ff-{'a' * 32}-{'b' * 16}-01",
        TRACE + "-more",
    ],
)
def test_a_trace_context_that_is_wrong_is_replaced_even_if_trusted(through: Through, wrong: str) -> None:
    headers = [("Traceparent", wrong), ("Tracestate", "vendor=1")]
    environ = told(through(RequestId(trust_inbound=True), headers=headers))
    assert environ["HTTP_TRACEPARENT"] != wrong
    assert environ["HTTP_TRACEPARENT"].split("-")[1] == environ["onionskin.trace_id"]
    assert "HTTP_TRACESTATE" not in environ


def test_without_traceparent_the_trace_context_passes_as_it_is(through: Through) -> None:
    headers = [("Traceparent", "anything"), ("Tracestate", "vendor=1")]
    environ = told(through(RequestId(traceparent=False), headers=headers))
    assert (environ["HTTP_TRACEPARENT"], environ["HTTP_TRACESTATE"]) == ("anything", "vendor=1")
    assert "onionskin.trace_id" not in environ
    assert "HTTP_TRACEPARENT" not in told(through(RequestId(traceparent=False)))


def test_the_response_has_no_trace_context(through: Through) -> None:
    seen = through(RequestId())
    assert (seen.get("Traceparent"), seen.get("Tracestate")) == (None, None)


def test_a_request_that_is_not_matched_gets_no_id(through: Through) -> None:
    layer = RequestId(unless={"path": "/health"})
    seen = through(layer, "/health")
    assert seen.get("X-Request-Id") is None
    assert not [key for key in told(seen) if key.startswith(("onionskin.", "HTTP_TRACE", "HTTP_X_REQ"))]
    assert through(layer, "/").get("X-Request-Id") is not None


class Passing:
    """A Python middleware, which separates the layers on both sides of it."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self.app(environ, start_response)


@pytest.mark.parametrize("between", [(), (Passing,)], ids=["adjacent", "separated"])
@pytest.mark.parametrize("options", [{}, {"trust_inbound": True}, {"format": "uuid4"}], ids=str)
def test_an_inner_layer_keeps_the_id_of_the_outer_one(
    through: Through, between: Any, options: dict[str, Any]
) -> None:
    seen = through(Onion(RequestId(), *between, RequestId(**options)), headers=[("X-Request-Id", "mine")])

    own = told(seen)["onionskin.request_id"]
    assert seen.get("X-Request-Id") == own == told(seen)["HTTP_X_REQUEST_ID"] != "mine"
    assert told(seen)["onionskin.trace_id"] == told(seen)["HTTP_TRACEPARENT"][3:35]


def test_an_inner_layer_shows_the_outer_id_in_its_own_header(through: Through) -> None:
    seen = through(Onion(RequestId(), RequestId(header="X-Correlation-Id")))

    assert seen.get("X-Request-Id") == seen.get("X-Correlation-Id") == told(seen)["HTTP_X_CORRELATION_ID"]


def test_a_client_cannot_set_the_id_by_the_name_of_its_key(through: Through) -> None:
    seen = through(RequestId(), headers=[("onionskin.request_id", "mine"), ("Onionskin-Request-Id", "mine")])

    assert "mine" not in (seen.get("X-Request-Id"), told(seen)["onionskin.request_id"])
