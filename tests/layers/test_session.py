"""Session: values that last from request to request."""

from __future__ import annotations

import ast
import datetime
import enum
import functools
import json
import re
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

import pytest

import onionskin
from layers.session_client import SECRET, Client
from onionskin import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.client import Reply

pytestmark = pytest.mark.smoke


def test_values_last_from_request_to_request(client: Callable[..., Client]) -> None:
    def count(session: Any, path: str) -> int:
        session["n"] = session.get("n", 0) + 1
        return int(session["n"])

    browser = client(count)
    assert [browser.ask().text for _ in range(3)] == ["1", "2", "3"]


def test_an_untouched_session_leaves_the_response_alone(client: Callable[..., Client]) -> None:
    browser = client(lambda session, path: session)
    browser.cookies["__Host-sid"] = "rubbish"
    reply = browser.ask()
    assert (reply.get("Vary"), reply.get("Cache-Control"), reply.get("Set-Cookie")) == (None, None, None)
    assert reply.text == "<SessionMapping, not read yet>"


def test_a_read_session_varies_by_cookie_and_is_private(client: Callable[..., Client]) -> None:
    reply = client(lambda session, path: "user" in session).ask()
    assert (reply.get("Vary"), reply.get("Cache-Control")) == ("Cookie", "private")
    assert reply.get("Set-Cookie") is None


def test_changes_deep_inside_are_saved(client: Callable[..., Client]) -> None:
    def view(session: Any, path: str) -> Any:
        session.setdefault("cart", {"items": []})["items"].append(path)
        return session["cart"], session.modified

    browser = client(view)
    browser.ask("/a")
    assert browser.ask("/b").text == "({'items': ['/a', '/b']}, True)"


VALUES = {
    "none": None,
    "booleans": [True, False],
    "integers": [0, -1, 2**63, -(10**40)],
    "floats": [0.1, 1e300, -0.0, 5e-324, 1e16, 3.0],
    "texts": ["", "ünïcödé \U0001f9c5", '\0\x1f"\\/\u2028'],
    "nested": {"a": {"b": [{"c": {}}, []]}},
    "": "an empty key",
}


def test_every_json_value_comes_back_as_it_was(client: Callable[..., Client]) -> None:
    seen: list[Any] = []

    def view(session: Any, path: str) -> None:
        if path == "/set":
            session.update(VALUES)
        seen.append(dict(session))

    browser = client(view)
    browser.ask("/set")
    assert browser.ask("/get").get("Set-Cookie") is None
    assert seen == [VALUES, VALUES]
    assert repr(seen[1]) == repr(VALUES)


def test_a_tuple_comes_back_as_a_list(client: Callable[..., Client]) -> None:
    browser = client(lambda session, path: session.setdefault("pair", (1, 2)))
    assert [browser.ask().text, browser.ask().text] == ["(1, 2)", "[1, 2]"]


def endless() -> list[Any]:
    """A list that holds itself."""
    endless: list[Any] = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({1, 2}, "session['cart']: <class 'set'> is not a JSON value; expected None, a boolean, number, "),
        ([0, {"at": b""}], "session['cart'][1]['at']: <class 'bytes'> is not a JSON value"),
        ({(1, 2): 3}, "session['cart']: a key of <class 'tuple'> is not valid in JSON"),
        (endless(), "a value nested more than 500 deep is not valid"),
    ],
)
def test_what_is_not_json_is_refused_at_once_with_its_place(
    client: Callable[..., Client], value: Any, place: str
) -> None:
    def view(session: Any, path: str) -> None:
        for assign in (
            session.__setitem__,
            session.setdefault,
            lambda key, value: session.update({key: value}),
        ):
            with pytest.raises(TypeError, match=re.escape(place)):
                assign("cart", value)
        assert "cart" not in session

    assert client(view).ask().status == 200


class Colour(enum.IntEnum):
    """Both an enumeration's member and an integer."""

    RED = 3


PYTHONS_JSON = {
    "not finite": [float("nan"), float("inf"), -float("inf")],
    "surrogates": "a\ud800b\U0001f9c5",
    "\udfff": "a key of one",
    "keys": {2: "int", True: "bool", None: "null", 1.5: "float"},
    "members": [Colour.RED, (1, (2, 3))],
    "deep": functools.reduce(lambda inside, _: [inside], range(400), 0),
    7: "seven",
}


def test_what_pythons_json_takes_is_taken_and_comes_back_as_from_there(client: Callable[..., Client]) -> None:
    seen: list[Any] = []

    def view(session: Any, path: str) -> None:
        if path == "/set":
            session.update(PYTHONS_JSON)
        seen.append(dict(session))

    browser = client(view)
    browser.ask("/set")
    assert browser.ask("/get").get("Set-Cookie") is None
    assert repr(seen[1]) == repr(json.loads(json.dumps(PYTHONS_JSON)))


def test_a_key_that_json_does_not_have_is_refused(client: Callable[..., Client]) -> None:
    def view(session: Any, path: str) -> None:
        with pytest.raises(
            TypeError, match="session: a key of <class 'tuple'> is not valid in JSON; expected"
        ):
            session[1, 2] = "one"

    assert client(view).ask().status == 200


def test_what_becomes_unfit_later_is_an_error_and_not_lost(
    client: Callable[..., Client], capfd: pytest.CaptureFixture[str]
) -> None:
    reply = client(lambda session, path: session.setdefault("cart", []).append(object())).ask()
    assert (reply.status, reply.get("Set-Cookie")) == (500, None)
    assert (
        "session: it can't be saved: session['cart'][0]: <class 'object'> is not a JSON value"
        in capfd.readouterr().err
    )


def test_it_is_a_mutable_mapping(client: Callable[..., Client]) -> None:
    def view(session: Any, path: str) -> None:
        assert isinstance(session, MutableMapping)
        assert isinstance(session, onionskin.SessionMapping)
        session.update({"a": 1}, b=2)
        session.update([("c", 3)])
        assert session == {"a": 1, "b": 2, "c": 3} == dict(session)
        assert (list(session), list(session.keys()), len(session)) == (["a", "b", "c"], ["a", "b", "c"], 3)
        assert (list(session.values()), next(iter(session.items()))) == ([1, 2, 3], ("a", 1))
        assert (session.get("x"), session.get("x", 5), session.pop("c"), session.pop("x", None)) == (
            None,
            5,
            3,
            None,
        )
        with pytest.raises(KeyError, match="x"):
            session["x"]
        with pytest.raises(KeyError, match="x"):
            session.pop("x")
        with pytest.raises(KeyError):
            del session["x"]
        del session["a"]
        assert session.popitem() == ("b", 2)
        assert not session
        assert session != {"a": 1}
        with pytest.raises(TypeError):
            hash(session)

    assert client(view).ask().status == 200


def test_rotation_keeps_the_values_under_another_id(client: Callable[..., Client]) -> None:
    def view(session: Any, path: str) -> Any:
        before = session.id
        if path == "/log-in":
            session.rotate()
        session["user"] = "ada"
        return before, session.id, session.is_new

    browser = client(view)
    browser.ask()
    old = dict(browser.cookies)
    first, second, is_new = eval(browser.ask("/log-in").text)
    assert (first != second, is_new, len(first)) == (True, False, 64)
    assert browser.cookies != old
    assert eval(browser.ask().text)[0] == second


def test_invalidation_makes_the_client_a_stranger(client: Callable[..., Client]) -> None:
    def view(session: Any, path: str) -> Any:
        if path == "/log-in":
            session["user"] = "ada"
        if path == "/log-out":
            session.invalidate()
        return dict(session), session.is_new

    browser = client(view)
    assert browser.ask("/log-in").text == "({'user': 'ada'}, True)"
    assert browser.ask().text == "({'user': 'ada'}, False)"
    assert browser.ask("/log-out").text == "({}, True)"
    assert (browser.cookies, browser.ask().text) == ({}, "({}, True)")


def test_a_session_that_was_ended_in_a_store_is_ended_for_whoever_has_its_cookie(
    door: str, tmp_path: Path
) -> None:
    def view(session: Any, path: str) -> Any:
        if path == "/log-out":
            session.invalidate()
        elif path == "/log-in":
            session["user"] = "ada"
        return session.get("user")

    browser = Client(door, view, store=f"sqlite:{tmp_path / 'sessions'}")
    browser.ask("/log-in")
    stolen = dict(browser.cookies)
    browser.ask("/log-out")
    browser.cookies = stolen
    assert browser.ask().text == "None"


def test_a_session_that_loses_its_last_value_is_none_any_more(client: Callable[..., Client]) -> None:
    browser = client(
        lambda session, path: session.clear() if path == "/clear" else session.setdefault("a", 1)
    )
    browser.ask()
    browser.ask("/clear")
    assert browser.cookies == {}


def test_the_cookie_is_as_the_options_say(door: str) -> None:
    options = {
        "name": "s",
        "secure": False,
        "http_only": False,
        "same_site": "strict",
        "domain": "example.org",
    }
    reply = Client(
        door, lambda session, path: session.setdefault("a", 1), path="/x", persistent=True, **options
    ).ask()
    cookie = reply.get("Set-Cookie") or ""
    assert re.fullmatch(r"s=[\w-]+; Path=/x; Domain=example\.org; SameSite=Strict; Max-Age=7200", cookie)


def test_a_session_may_have_a_lifetime_of_its_own(client: Callable[..., Client]) -> None:
    month = datetime.timedelta(days=30)
    lifetimes = {
        "/month": (month, 2592000),
        "/minutes": (300, 300),
        "/point": (datetime.datetime.now(datetime.timezone.utc) + month, 2592000),
        "/layer": (None, None),
    }

    def view(session: Any, path: str) -> Any:
        if path in lifetimes:
            session["user"] = "ada"
            session.set_lifetime(lifetimes[path][0])
        return session.persistent, session.max_age

    def max_age(reply: Reply) -> int | None:
        found = re.search(r"; Max-Age=(\d+)$", reply.get("Set-Cookie") or "")
        return int(found[1]) if found else None

    for path, (_, expected) in lifetimes.items():
        seen = max_age(client(view).ask(path))
        # A slow machine may take some seconds from the beginning of the session to its end.
        assert seen == expected or (expected or 0) - 30 < (seen or 0) < (expected or 0)
    browser = client(view)
    browser.ask("/month")
    persistent, seconds = ast.literal_eval(browser.ask("/").text)
    assert (persistent, seconds > 2592000 - 30) == (True, True)
    reply = browser.ask("/layer")
    assert (reply.get("Set-Cookie") or "").endswith("; SameSite=Lax")
    assert browser.ask("/").text == "(False, 7200)"


@pytest.mark.parametrize("lifetime", [0, -5, 1e12, float("nan"), datetime.timedelta(), True, "30d", object()])
def test_what_is_not_a_lifetime_is_refused(client: Callable[..., Client], lifetime: Any) -> None:
    def view(session: Any, path: str) -> None:
        with pytest.raises(
            (TypeError, ValueError), match=r"set_lifetime: .* is not a valid .*; expected seconds"
        ):
            session.set_lifetime(lifetime)

    assert client(view).ask().status == 200


def test_a_cookie_can_be_partitioned(door: str) -> None:
    reply = Client(
        door, lambda session, path: session.setdefault("a", 1), same_site="none", partitioned=True
    ).ask()
    assert (reply.get("Set-Cookie") or "").endswith("; SameSite=None; Partitioned")


@pytest.mark.parametrize("secret", ["changeme", ["x" * 64], []])
def test_a_weak_secret_is_refused_and_not_shown(secret: Any) -> None:
    with pytest.raises(onionskin.ConfigurationError, match=r"session: secret") as refusal:
        Session(secret=secret)
    assert "changeme" not in str(refusal.value)


def test_a_session_passes_python_in_between(door: str) -> None:
    class Between:
        def __init__(self, app: Any) -> None:
            self.app = app

        def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
            environ["onionskin.session"]["between"] = True
            return self.app(environ, start_response)

    def inside(environ: dict[str, Any], start_response: Any) -> Any:
        environ["onionskin.session"]["inside"] = True
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [repr(dict(environ["onionskin.session"])).encode()]

    browser = Client(door, lambda session, path: None)
    browser.app = Session(Between(onionskin.RequestId(inside)), secret=SECRET)
    assert browser.ask().text == "{'between': True, 'inside': True}"
    assert len(browser.cookies) == 1
