"""Headers: application and client see what the tables say, and nothing can break a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from onionskin import AllowAddresses, ConfigurationError, Headers
from onionskin._core import layer_from_text
from support.both_doors import DOORS, serving
from support.client import ask
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.both_doors import Seen

    Through = Callable[..., Seen]

pytestmark = pytest.mark.smoke


def values(seen: Seen, name: str) -> list[str]:
    """All lines of a header of the answer."""
    return [value for known, value in seen.headers if known.lower() == name.lower()]


def test_set_puts_its_lines_in_the_place_of_any_other(through: Through) -> None:
    layer = Headers(response={"set": {"X-Frame-Options": "DENY", "X-List": ("a", "b")}})
    seen = through(layer, answers={"X-Frame-Options": "ALLOWALL"})
    assert values(seen, "X-Frame-Options") == ["DENY"]
    assert values(seen, "X-List") == ["a", "b"]


def test_cookies_are_appended_as_lines_of_their_own(through: Through) -> None:
    layer = Headers(response={"append": {"Set-Cookie": ["b=2; Path=/", "c=3"]}})
    assert values(through(layer, answers={"Set-Cookie": "a=1"}), "Set-Cookie") == [
        "a=1",
        "b=2; Path=/",
        "c=3",
    ]


def test_a_default_stands_back_behind_the_application(through: Through) -> None:
    layer = Headers(response={"default": {"Cache-Control": "no-cache"}})
    assert values(through(layer), "Cache-Control") == ["no-cache"]
    assert values(through(layer, answers={"Cache-Control": "private"}), "Cache-Control") == ["private"]


def test_a_removed_header_is_gone(through: Through) -> None:
    seen = through(Headers(response={"remove": ["x-powered-by"]}), answers={"X-Powered-By": "a framework"})
    assert values(seen, "X-Powered-By") == []


def test_the_application_sees_the_request_as_it_was_changed(through: Through) -> None:
    changes = {
        "set": {"X-Tier": "gold", "Content-Type": "text/x-set"},
        "append": {"X-List": "c"},
        "default": {"Accept": "*/*", "Accept-Language": "en"},
        "remove": ["X-Debug"],
    }
    came = [("X-Tier", "none"), ("X-List", "a"), ("Accept", "text/html"), ("X-Debug", "1")]
    environ = through(Headers(request=changes), headers=came).environ
    assert environ is not None
    assert environ["HTTP_X_TIER"] == "gold"
    assert environ["CONTENT_TYPE"] == "text/x-set"
    assert environ["HTTP_X_LIST"].replace(", ", ",") == "a,c"
    assert environ["HTTP_ACCEPT"] == "text/html"
    assert environ["HTTP_ACCEPT_LANGUAGE"] == "en"
    assert "HTTP_X_DEBUG" not in environ


def test_what_a_layer_inside_answers_is_treated_too(through: Through) -> None:
    headers = Headers(response={"set": {"X-Frame-Options": "DENY"}})
    seen = through(lambda app: headers(AllowAddresses(app, [])))
    assert seen.status == 403
    assert values(seen, "X-Frame-Options") == ["DENY"]


def test_a_failure_of_the_application_is_treated_too() -> None:
    def failing(environ: Any, start_response: Any) -> Any:
        raise ValueError("on purpose")

    with serving(Headers(failing, response={"set": {"X-Frame-Options": "DENY"}})) as place:
        reply = ask(place)
    assert reply.status == 500
    assert reply.get("X-Frame-Options") == "DENY"


def test_the_servers_own_headers_can_be_set() -> None:
    seen = DOORS["native"](Headers(response={"set": {"Server": "a house"}}))
    assert values(seen, "Server") == ["a house"]


def test_options_as_text_make_the_same_layer() -> None:
    text = (
        "headers:response.set.Cache-Control=public, max-age=60,response.append.Set-Cookie=a=1; Path=/,"
        "response.remove=Server,X-Powered-By,request.default.Accept=*/*,match.path=/**"
    )
    inside: dict[str, Any] = {}

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        inside.update(environ)
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-Powered-By", "a framework")])
        return []

    outcome = run(layer_from_text(text)(application), make_environ())
    assert sorted(outcome.headers) == [
        ("Cache-Control", "public, max-age=60"),
        ("Content-Type", "text/plain"),
        ("Set-Cookie", "a=1; Path=/"),
    ]
    assert inside["HTTP_ACCEPT"] == "*/*"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "headers: there is nothing to do; give request or response, such as "),
        (
            {"response": {"set": {"X": "a\r\nSet-Cookie: b"}}},
            'headers: response.set: "X" can\'t have the value',
        ),
        (
            {"response": {"set": {"Content-Length": "1"}}},
            'response.set: "Content-Length" is the server\'s own',
        ),
        ({"request": {"remove": ["Host"]}}, 'headers: request.remove: "Host" is the server\'s own matter; '),
        (
            {"response": {"set": {"X-A": 5}}},
            "headers: response.set.X-A: 5 does not fit; give a text or a list",
        ),
    ],
)
def test_what_would_break_a_message_is_refused_at_start_up(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Headers(**options)
    assert told in str(refused.value)
