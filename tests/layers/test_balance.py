"""Balance: which target gets a request, and what becomes of those that fail."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from onionskin import Balance, ConfigurationError
from support.both_doors import serving
from support.client import ask
from support.upstream import CLOSE, Peer, Upstream, response, upstream, wait_until
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOWHERE = "http://127.0.0.1:1"


def named(name: str) -> Callable[[Peer], object]:
    """Answers with a name."""
    return lambda peer: peer.answer(response(name.encode()))


@contextlib.contextmanager
def targets(*names: str) -> Iterator[list[Upstream]]:
    """So many targets that answer with their names."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(upstream(named(name))) for name in names]


def urls(ups: list[Upstream]) -> list[str]:
    """Where they are."""
    return [up.url for up in ups]


def get(app: Any, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str) -> str:
    """The body of one answer, or its status if that is not 200."""
    keys = {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    outcome = run(app, make_environ(path, method, body, **keys))
    return outcome.body.decode() if outcome.status == "200 OK" else outcome.status[:3]


@pytest.mark.smoke
def test_every_target_gets_its_share_through_both_doors() -> None:
    with targets("a", "b") as ups:
        app = Balance(targets=urls(ups), policy="round_robin")
        assert Counter(get(app) for _ in range(10)) == {"a": 5, "b": 5}
        with serving(app) as place:
            assert Counter(ask(place, "/").body for _ in range(10)) == {b"a": 5, b"b": 5}


def test_of_two_the_less_busy_one_is_chosen() -> None:
    go = threading.Event()

    def stuck(peer: Peer) -> None:
        peer.request()
        assert go.wait(10)
        peer.send(response(b"stuck"))

    with upstream(stuck) as slow, targets("quick") as (quick,):
        app = Balance(targets=[slow.url, quick.url])
        threads = []
        try:
            while not slow.asked:
                before = len(quick.asked)
                threads.append(threading.Thread(target=get, args=(app,)))
                threads[-1].start()
                wait_until(lambda before=before: bool(slow.asked) or len(quick.asked) > before)
            assert [get(app) for _ in range(10)] == ["quick"] * 10
        finally:
            go.set()
            for thread in threads:
                thread.join(10)


def test_chance_gives_each_its_share() -> None:
    with targets("a", "b", "c") as ups:
        app = Balance(targets=urls(ups))
        shares = Counter(get(app) for _ in range(300))
    assert set(shares) == {"a", "b", "c"}
    assert min(shares.values()) > 50


def test_the_same_key_gets_the_same_target_in_any_process_and_order() -> None:
    with targets("a", "b", "c") as ups:
        app = Balance(targets=urls(ups), policy="hash", hash_by="x-user")
        other = Balance(targets=list(reversed(urls(ups))), policy="hash", hash_by="x-user")
        users = [f"user-{number}" for number in range(60)]
        first = {user: get(app, x_user=user) for user in users}
        assert first == {user: get(other, x_user=user) for user in users}
        assert len(set(first.values())) == 3


def test_a_target_less_moves_only_its_own_share() -> None:
    with targets("a", "b", "c") as ups:
        paths = [f"/{number}" for number in range(60)]
        three = Balance(targets=urls(ups), policy="hash", hash_by="path")
        two = Balance(targets=urls(ups)[:2], policy="hash", hash_by="path")
        before = {path: get(three, path) for path in paths}
        after = {path: get(two, path) for path in paths}
    assert {path for path in paths if before[path] != after[path]} == {
        path for path in paths if before[path] == "c"
    }


def test_a_client_with_the_cookie_stays() -> None:
    with targets("a", "b") as ups:
        app = Balance(targets=urls(ups), policy="round_robin", sticky="backend")
        outcome = run(app)
        [cookie] = [value for name, value in outcome.headers if name.lower() == "set-cookie"]
        assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax")
        assert "127.0.0.1" not in cookie
        own = cookie.partition(";")[0]
        again = [run(app, make_environ(HTTP_COOKIE=f"x=y; {own}")) for _ in range(4)]
        assert {outcome.body for outcome in again} == {outcome.body}
        assert [
            name for outcome in again for name, _ in outcome.headers if name.lower() == "set-cookie"
        ] == []
        made_up = [run(app, make_environ(HTTP_COOKIE="backend=ffffffff")).body for _ in range(4)]
        assert set(made_up) == {b"a", b"b"}


def test_a_target_that_refuses_costs_no_request(capfd: pytest.CaptureFixture[str]) -> None:
    """Nothing was sent, so even an upload is tried elsewhere; after three failures nobody asks any more."""
    with targets("a") as (up,):
        app = Balance(targets=[NOWHERE, up.url], policy="round_robin", fail_time="60s")
        assert [get(app, "/x", "POST", b"body") for _ in range(12)] == ["a"] * 12
        assert [asked.body for asked in up.asked] == [b"body"] * 12
    log = capfd.readouterr().err
    assert log.count(f"{NOWHERE}: connect: refused; another is tried (POST /x)") == 3
    assert log.count(f"onionskin: balance: {NOWHERE}: rests for 60s after 3 failures\n") == 1


def test_a_target_that_rested_is_asked_again() -> None:
    failing = threading.Event()
    failing.set()

    def moody(peer: Peer) -> object:
        peer.request()
        return CLOSE if failing.is_set() else peer.send(response(b"moody"))

    with upstream(moody) as up, targets("steady") as (steady,):
        urls = [steady.url, up.url]
        app = Balance(targets=urls, policy="round_robin", fail_time="100ms", max_fails=1)
        assert [get(app) for _ in range(4)] == ["steady"] * 4
        failing.clear()
        wait_until(lambda: get(app) == "moody")


def test_what_may_have_been_acted_on_is_not_sent_twice() -> None:
    def drop(peer: Peer) -> object:
        peer.request()
        return CLOSE

    with upstream(drop) as bad, targets("a") as (good,):
        options: dict[str, Any] = {"policy": "round_robin", "max_fails": 0}
        app = Balance(targets=[bad.url, good.url], **options)
        assert Counter(get(app, method="POST", body=b"x") for _ in range(6)) == {"502": 3, "a": 3}
        assert Counter(get(app, method="PUT", body=b"x") for _ in range(6)) == {"502": 3, "a": 3}
        assert [get(app, method="GET") for _ in range(6)] == ["a"] * 6


def test_only_a_share_is_tried_again() -> None:
    with upstream(lambda peer: CLOSE) as bad, targets("a") as (good,):
        app = Balance(targets=[bad.url, good.url], policy="round_robin", max_fails=0, retry_budget=10)
        outcomes = Counter(get(app) for _ in range(200))
    # Half of them meet the bad one: ten saved up, and one in ten.
    assert 65 <= outcomes["502"] <= 75
    none = Balance(targets=[NOWHERE, NOWHERE], retry_budget=0)
    assert get(none) == "502"


def test_without_any_target_the_answer_is_a_bad_gateway() -> None:
    app = Balance(targets=[NOWHERE, "http://127.0.0.1:2"], max_fails=1)
    assert [get(app) for _ in range(3)] == ["502"] * 3


def test_a_target_that_is_not_well_is_taken_out_until_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    well = threading.Event()

    def moody(peer: Peer) -> None:
        asked = peer.request()
        if asked.path == "/healthz":
            peer.send(response(b"", "200 OK" if well.is_set() else "503 Service Unavailable"))
        else:
            peer.send(response(b"moody"))

    with upstream(moody) as up, targets("steady") as (steady,):
        app = Balance(
            targets=[up.url, steady.url], policy="round_robin", health_path="/healthz", health_every="100ms"
        )
        get(app)
        log = ""

        def told(what: str) -> bool:
            nonlocal log
            log += capfd.readouterr().err
            return f"onionskin: balance: {up.url}: {what}" in log

        wait_until(lambda: told("is not well: it answers 503 Service Unavailable\n"))
        assert [get(app) for _ in range(6)] == ["steady"] * 6
        well.set()
        wait_until(lambda: told("is well again\n"))
        assert Counter(get(app) for _ in range(6)) == {"moody": 3, "steady": 3}


def test_a_response_that_breaks_off_counts_as_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    def short(peer: Peer) -> object:
        peer.answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\nx")
        return CLOSE

    with upstream(short) as up:
        app = Balance(targets=[up.url], max_fails=1)
        with pytest.raises(RuntimeError):
            run(app)
        assert f"onionskin: balance: {up.url}: rests for 10s after 1 failures" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": []}, "balance: targets: the list is empty; "),
        ({"targets": ["http://a", "b:80"]}, "balance: targets[1]: "),
        ({"targets": ["http://a"], "policy": "best"}, "balance: policy: "),
        ({"targets": ["http://a"], "hash_by": "a b"}, "balance: hash_by: "),
        ({"targets": ["http://a"], "sticky": "a b"}, "balance: sticky: "),
        ({"targets": ["http://a"], "health_path": "healthz"}, "balance: health_path: "),
        ({"targets": ["http://a"], "health_path": "/", "health_every": "1ms"}, "balance: health_every: "),
        ({"targets": ["http://a"], "pool": -1}, "balance: pool: "),
    ],
)
def test_wrong_options_are_refused_with_the_way_out(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Balance(**options)
    assert str(refused.value).startswith(message)
    assert "; " in str(refused.value)
