"""Layers are values: around an application at once or later, in each other, around Python, and subclassed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from doors.scripted import application
from onionskin import AllowAddresses, AuthenticationMiddleware, ConfigurationError, Layer, Onion, RequestId
from support.wsgi import Outcome, make_environ, run

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.smoke

LOCAL = ["127.0.0.1"]


def hello(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The application inside: it says what it was told."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Steps", environ.get("tests.steps", ""))])
    return [environ.get("onionskin.request_id", "no id").encode()]


def step(name: str) -> Any:
    """Python middleware that leaves a trace."""

    def middleware(app: Any) -> Any:
        def around(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            environ["tests.steps"] = environ.get("tests.steps", "") + name
            return app(environ, start_response)

        return around

    return middleware


def header(outcome: Outcome, name: str) -> str | None:
    """One header."""
    return {name.lower(): value for name, value in outcome.headers}.get(name.lower())


def test_a_layer_stands_around_an_application_at_once() -> None:
    assert run(AllowAddresses(hello, LOCAL)).status == "200 OK"
    assert run(AllowAddresses(hello, ["192.0.2.1"])).status == "403 Forbidden"
    assert run(AllowAddresses(hello, allowed_addresses=LOCAL)).status == "200 OK"
    assert run(AllowAddresses(app=hello, allowed_addresses=LOCAL)).status == "200 OK"


def test_a_layer_is_put_around_an_application_later() -> None:
    assert run(AllowAddresses(allowed_addresses=LOCAL)(hello)).status == "200 OK"
    assert run(AllowAddresses(allowed_addresses=["192.0.2.1"])(hello)).status == "403 Forbidden"
    assert run(AllowAddresses(None, LOCAL)(hello)).status == "200 OK"


def test_one_layer_stands_around_several_applications() -> None:
    layer = AllowAddresses(allowed_addresses=LOCAL)
    first, second = layer(hello), layer(application)
    assert run(first).body == b"no id"
    assert run(second, make_environ("/hello")).body == b"hello\n"
    assert layer.app is None


def test_a_layer_knows_its_name_and_its_application() -> None:
    layer = AllowAddresses(hello, LOCAL)
    assert isinstance(layer, Layer)
    assert isinstance(layer, AllowAddresses)
    assert (layer.name, layer.app) == ("allow_addresses", hello)
    assert type(AllowAddresses(allowed_addresses=LOCAL)(hello)) is AllowAddresses


def test_a_layer_shows_what_it_is_around() -> None:
    assert repr(AllowAddresses(allowed_addresses=LOCAL)) == "<AllowAddresses>"
    assert repr(RequestId(AllowAddresses(hello, LOCAL))) == (
        f"<RequestId around <AllowAddresses around {hello!r}>>"
    )


def test_the_address_layer_has_a_second_name() -> None:
    assert AuthenticationMiddleware is AllowAddresses


def test_an_onion_puts_its_first_layer_outermost() -> None:
    onion = Onion(step("a"), step("b"), RequestId(), step("c"))
    outcome = run(onion(hello))
    assert header(outcome, "X-Steps") == "abc"
    assert header(outcome, "X-Request-Id") == outcome.body.decode()


def test_an_onion_is_put_around_several_applications() -> None:
    onion = Onion(AllowAddresses(allowed_addresses=LOCAL), RequestId())
    assert run(onion(hello)).body != run(onion(hello)).body
    assert run(onion(application), make_environ("/hello")).body == b"hello\n"


def test_an_onion_without_layers_gives_the_application_itself() -> None:
    assert Onion()(hello) is hello


def test_onions_stand_in_onions() -> None:
    inner = Onion(step("b"), RequestId())
    assert header(run(Onion(step("a"), inner, step("c"))(hello)), "X-Steps") == "abc"


def test_an_outer_layer_sees_the_request_first() -> None:
    refusing = AllowAddresses(allowed_addresses=[])
    assert header(run(Onion(RequestId(), refusing)(hello)), "X-Request-Id") is not None
    assert header(run(Onion(refusing, RequestId())(hello)), "X-Request-Id") is None


def test_a_layer_stands_in_itself() -> None:
    outcome = run(RequestId(RequestId(hello)))
    # The outer one has the last word with the client, the inner one with the application.
    assert outcome.environ["onionskin.request_id"] == outcome.body.decode()
    assert header(outcome, "X-Request-Id") is not None
    assert run(AllowAddresses(AllowAddresses(hello, LOCAL), ["192.0.2.1"])).status == "403 Forbidden"
    assert run(AllowAddresses(AllowAddresses(hello, ["192.0.2.1"]), LOCAL)).status == "403 Forbidden"


def test_the_same_layer_may_stand_twice_in_an_onion() -> None:
    layer = RequestId(trust_inbound=True)
    outcome = run(Onion(layer, step("a"), layer)(hello), make_environ(HTTP_X_REQUEST_ID="mine"))
    assert (outcome.body, header(outcome, "X-Request-Id")) == (b"mine", "mine")
    assert header(outcome, "X-Steps") == "a"


def test_python_middleware_between_layers_sees_what_the_outer_one_did() -> None:
    seen = []

    def middleware(app: Any) -> Any:
        def around(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            seen.append((environ["onionskin.request_id"], environ["HTTP_X_REQUEST_ID"]))
            return app(environ, start_response)

        return around

    outcome = run(RequestId(middleware(AllowAddresses(hello, LOCAL))))
    assert seen == [(header(outcome, "X-Request-Id"),) * 2]


def test_what_python_middleware_changes_is_what_the_inner_layer_sees() -> None:
    def middleware(app: Any) -> Any:
        def around(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            return app({**environ, "REMOTE_ADDR": "192.0.2.1"}, start_response)

        return around

    assert run(RequestId(middleware(AllowAddresses(hello, LOCAL)))).status == "403 Forbidden"
    assert run(RequestId(middleware(AllowAddresses(hello, ["192.0.2.1"])))).status == "200 OK"


class Loud(AllowAddresses):
    """A subclass that does something of its own with each request."""

    def __call__(self, *args: Any) -> Any:
        if len(args) == 2:
            args[0]["tests.steps"] = args[0].get("tests.steps", "") + "loud"
        return super().__call__(*args)


def test_a_subclass_is_called_itself() -> None:
    assert header(run(Loud(hello, LOCAL)), "X-Steps") == "loud"


def test_a_subclass_inside_another_layer_is_called_itself() -> None:
    assert header(run(RequestId(Loud(hello, LOCAL))), "X-Steps") == "loud"
    assert header(run(Onion(RequestId(), Loud(allowed_addresses=LOCAL))(hello)), "X-Steps") == "loud"
    assert run(RequestId(Loud(hello, ["192.0.2.1"]))).status == "403 Forbidden"


def test_a_subclass_that_changes_nothing_is_as_good_as_the_layer() -> None:
    class Renamed(AllowAddresses):
        pass

    assert run(RequestId(Renamed(hello, ["192.0.2.1"]))).status == "403 Forbidden"


def test_an_application_may_be_any_callable() -> None:
    class Application:
        def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            return hello(environ, start_response)

        method = __call__

    class Started:
        """The response is the instance, as in PEP 3333's example."""

        def __init__(self, environ: dict[str, Any], start_response: Any) -> None:
            self.environ, self.start = environ, start_response

        def __iter__(self) -> Any:
            yield from hello(self.environ, self.start)

    for app in (Application(), Application().method, Started):
        assert run(RequestId(app)).body != b"no id"


@pytest.mark.parametrize(
    ("app", "named"), [(LOCAL, "list"), ("hello", "str"), (1, "int"), (RequestId(), "no application inside")]
)
def test_what_is_no_application_is_refused_at_once(app: Any, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        AllowAddresses(app, LOCAL)


def test_a_layer_without_an_application_answers_no_request() -> None:
    with pytest.raises(TypeError, match="no application inside"):
        run(AllowAddresses(allowed_addresses=LOCAL))


def test_an_onion_takes_callables_only() -> None:
    with pytest.raises(TypeError, match="str"):
        Onion("request_id")


def test_a_configuration_error_is_a_value_error() -> None:
    assert issubclass(ConfigurationError, ValueError)


WHERE = [
    ({"path": "/admin/**"}, {}, {"PATH_INFO": "/admin/x"}),
    ({"path": ["/a", "/b"]}, {}, {"PATH_INFO": "/b"}),
    ({"method": "POST"}, {}, {"REQUEST_METHOD": "POST"}),
    ({"host": "*.example.com"}, {}, {"HTTP_HOST": "www.example.com:8000"}),
    ({"header": "X-Here"}, {}, {"HTTP_X_HERE": "1"}),
    ({"header": "X-Here: y*"}, {}, {"HTTP_X_HERE": "yes"}),
    ({"address": "192.0.2.0/24"}, {}, {"REMOTE_ADDR": "192.0.2.7"}),
    ({"method": "GET", "path": "/a"}, {}, {"PATH_INFO": "/a"}),
    ({}, {"path": "/"}, {"PATH_INFO": "/a"}),
    ({"path": "/**"}, {"method": "GET"}, {"REQUEST_METHOD": "PUT"}),
]


@pytest.mark.parametrize(("match", "unless", "request_has"), WHERE)
def test_a_layer_is_there_only_where_its_conditions_say(
    match: dict[str, Any], unless: dict[str, Any], request_has: dict[str, str]
) -> None:
    layered = AllowAddresses(hello, [], match=match or None, unless=unless or None)
    assert run(layered, make_environ(**request_has)).status == "403 Forbidden"
    assert run(layered).status == "200 OK"


def test_where_a_layer_is_not_there_environ_is_left_alone() -> None:
    outcome = run(RequestId(hello, match={"path": "/elsewhere"}))
    assert outcome.body == b"no id"
    assert header(outcome, "X-Request-Id") is None
    assert not [key for key in outcome.environ if key.startswith("onionskin.")]
