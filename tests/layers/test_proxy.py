"""Proxy: what goes to the target, what comes back, through both doors."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from onionskin import ConfigurationError, Mount, Proxy
from onionskin.simple_server import make_server
from support.both_doors import Seen, serving
from support.client import ask
from support.upstream import CLOSE, Peer, response, upstream, wait_until
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Through = Callable[..., Seen]

NOWHERE = "http://127.0.0.1:1"


def hello(peer: Peer) -> None:
    """Answers one request."""
    peer.answer(response())


def echo(peer: Peer) -> None:
    """Answers with the body of the request."""
    peer.send(response(peer.request().body))


def send(
    door: str, app: Any, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str
) -> Seen:
    """One request with a body through ``door``."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if door == "native":
        with serving(app) as place:
            reply = ask(place, path, method, headers=fields.items(), body=body)
        return Seen(reply.status, reply.headers, reply.body, None)
    keys = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in fields.items()}
    path, mark, query = path.partition("?")
    outcome = run(app, make_environ(unquote(path, "latin-1") + mark + query, method, body, **keys))
    return Seen(int(outcome.status[:3]), outcome.headers, outcome.body, None)


@pytest.fixture(params=["native", "outward"])
def door(request: pytest.FixtureRequest) -> str:
    """Our server, and any other."""
    return str(request.param)


@pytest.mark.smoke
def test_a_request_goes_to_the_target_and_its_response_comes_back(through: Through) -> None:
    with upstream(lambda peer: peer.answer(response(b"tea", "218 This is fine", x_kept="yes"))) as up:
        seen = through(Proxy(target=up.url), "/a/c?x=%31&y", headers=[("X-Own", "mine")])
    assert (seen.status, seen.body, seen.get("X-Kept")) == (218, b"tea", "yes")
    assert seen.environ is None
    asked = up.asked[0]
    assert asked.line == "GET /a/c?x=%31&y HTTP/1.1"
    assert asked.get("x-own") == "mine"


def test_a_body_is_passed_on_as_it_is(door: str) -> None:
    body = bytes(range(256)) * 4000
    with upstream(echo) as up:
        seen = send(door, Proxy(target=up.url), "/", "POST", body)
    assert (seen.status, seen.body == body) == (200, True)
    assert up.asked[0].get("content-length") == str(len(body))


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_every_method_is_passed_on(door: str, method: str) -> None:
    answer = response(b"") if method == "HEAD" else response(b"x")
    with upstream(lambda peer: peer.answer(answer)) as up:
        seen = send(door, Proxy(target=up.url), method=method)
    assert (seen.status, up.asked[0].line) == (200, f"{method} / HTTP/1.1")


def test_the_answer_to_head_tells_the_length_of_what_a_get_would_get(door: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n"
    with upstream(lambda peer: peer.answer(head)) as up:
        seen = send(door, Proxy(target=up.url), method="HEAD")
    assert (seen.status, seen.get("Content-Length"), seen.body) == (200, "12345", b"")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_response_without_a_body_has_none(door: str, status: str) -> None:
    with upstream(lambda peer: peer.answer(f"HTTP/1.1 {status}\r\nETag: x\r\n\r\n".encode())) as up:
        seen = send(door, Proxy(target=up.url))
    assert (seen.status, seen.body, seen.get("ETag")) == (int(status[:3]), b"", "x")


def test_a_chunked_body_comes_whole_and_without_its_trailers(door: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Late: 1\r\n\r\n"
    with upstream(lambda peer: peer.answer(head + chunks)) as up:
        seen = send(door, Proxy(target=up.url))
    assert (seen.status, seen.body, seen.get("X-Late")) == (200, b"abcde", None)


def test_a_body_that_the_close_ends_comes_whole(door: str) -> None:
    def until_close(peer: Peer) -> object:
        peer.answer(b"HTTP/1.0 200 OK\r\n\r\nall of it")
        return CLOSE

    with upstream(until_close) as up:
        seen = send(door, Proxy(target=up.url))
    assert (seen.status, seen.body) == (200, b"all of it")


def test_connections_are_kept_and_used_again(door: str) -> None:
    with upstream(hello) as up:
        app = Proxy(target=up.url)
        if door == "native":
            with serving(app) as place:
                statuses = [ask(place, "/").status for _ in range(5)]
        else:
            statuses = [int(run(app).status[:3]) for _ in range(5)]
        assert (statuses, len(up.asked), up.connections) == ([200] * 5, 5, 1)


def test_one_layer_may_serve_through_both_doors_by_turns() -> None:
    with upstream(hello) as up:
        app = Proxy(target=up.url)
        for _ in range(3):
            assert [send(door, app).status for door in ("native", "outward")] == [200, 200]


def once(peer: Peer) -> object:
    """Answers one request, and closes without having said so."""
    peer.answer(response())
    return CLOSE


def test_a_connection_that_the_target_closes_meanwhile_is_not_noticed_by_the_client(door: str) -> None:
    """Whether the end is seen before the request goes out or after it: it can be sent again."""
    with upstream(once) as up:
        app = Proxy(target=up.url)
        if door == "native":
            with serving(app) as place:
                statuses = [ask(place, "/").status for _ in range(20)]
        else:
            statuses = [int(run(app).status[:3]) for _ in range(20)]
        assert statuses == [200] * 20


def test_a_request_that_can_not_be_sent_again_gets_no_closed_connection(door: str) -> None:
    with upstream(once) as up:
        app = Proxy(target=up.url)
        for number in range(1, 6):
            assert send(door, app, "/", "POST", b"body").status == 200
            wait_until(lambda number=number: up.closed == number)


def test_what_belongs_to_a_connection_is_not_passed_on(through: Through) -> None:
    answer = response(b"x", connection="X-Secret, close", x_secret="1", keep_alive="timeout=5", upgrade="h2c")
    headers = [
        ("Connection", "close, X-Named"),
        ("X-Named", "1"),
        ("TE", "trailers"),
        ("Keep-Alive", "5"),
        ("Proxy-Connection", "close"),
        ("Proxy", "http://evil"),
        ("Upgrade", "h2c"),
    ]
    with upstream(lambda peer: peer.answer(answer)) as up:
        # The validator rightly refuses hop-by-hop headers that reach it: none may.
        seen = through(Proxy(target=up.url), headers=headers)
    sent = {name.lower() for name, _ in up.asked[0].headers}
    assert sent.isdisjoint(
        {"connection", "x-named", "te", "keep-alive", "proxy-connection", "proxy", "upgrade"}
    )
    assert [seen.get(name) for name in ("X-Secret", "Keep-Alive", "Upgrade")] == [None] * 3


def test_the_client_is_told_of_in_both_ways(through: Through) -> None:
    with upstream(hello) as up:
        through(Proxy(target=up.url), headers=[("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6")])
    asked = up.asked[0]
    assert asked.get("forwarded") == 'for=127.0.0.1;host="example.org";proto=http'
    told = [asked.get(f"x-forwarded-{name}") for name in ("for", "host", "proto", "port", "prefix")]
    assert told == ["127.0.0.1", "example.org", "http", "80", None]
    assert asked.get("via") == "1.1 onionskin"


def test_what_a_trusted_proxy_has_told_is_added_to(through: Through) -> None:
    headers = [("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6"), ("X-Forwarded-Proto", "https")]
    with upstream(hello) as up:
        through(Proxy(target=up.url, trust_forwarded=True), headers=headers)
    asked = up.asked[0]
    assert asked.get("x-forwarded-for") == "6.6.6.6, 127.0.0.1"
    assert asked.get("forwarded") == 'for=6.6.6.6, for=127.0.0.1;host="example.org";proto=http'
    assert asked.get("x-forwarded-proto") == "https"


@pytest.mark.parametrize(
    ("forward", "told"),
    [("x-forwarded", [True, False]), ("forwarded", [False, True]), ("none", [False, False])],
)
def test_one_may_choose_how_the_client_is_told_of(through: Through, forward: Any, told: list[bool]) -> None:
    with upstream(hello) as up:
        through(Proxy(target=up.url, forward=forward), headers=[("X-Forwarded-Ssl", "on")])
    names = {name.lower() for name, _ in up.asked[0].headers}
    assert ["x-forwarded-for" in names, "forwarded" in names] == told
    assert "x-forwarded-ssl" not in names


@pytest.mark.parametrize(
    ("host", "expected"), [("target", None), ("client", "example.org"), ("shop.example", "shop.example")]
)
def test_the_host_is_that_of_the_target_or_of_the_client_or_another(
    through: Through, host: str, expected: str | None
) -> None:
    with upstream(hello) as up:
        through(Proxy(target=up.url, host=host))
    assert up.asked[0].get("host") == (expected or up.url.removeprefix("http://"))


@pytest.mark.parametrize(
    ("base", "mount", "options", "path", "sent", "prefix"),
    [
        ("", "", {}, "/a?b", "/a?b", None),
        ("/base/", "", {}, "/a", "/base/a", None),
        ("", "/shop", {}, "/shop/a", "/a", "/shop"),
        ("", "/shop", {}, "/shop", "/", "/shop"),
        ("/base", "/shop", {}, "/shop?q", "/base?q", "/shop"),
        ("", "/shop", {"keep_prefix": True}, "/shop/a", "/shop/a", None),
        ("", "", {"strip_prefix": "/api"}, "/api/a", "/a", "/api"),
        ("", "", {"strip_prefix": "/api"}, "/apis", "/apis", None),
        ("/base", "/shop", {"strip_prefix": "/api/"}, "/shop/api/a", "/base/a", "/shop/api"),
    ],
)
def test_the_path_is_that_of_the_target_and_what_is_below_the_mount_point(
    through: Through,
    base: str,
    mount: str,
    options: dict[str, Any],
    path: str,
    sent: str,
    prefix: str | None,
) -> None:
    with upstream(hello) as up:
        proxy = Proxy(target=up.url + base, **options)
        layered = (lambda app: Mount({mount: proxy}, default=app)) if mount else proxy
        assert through(layered, path).status == 200
    assert (up.asked[0].path, up.asked[0].get("x-forwarded-prefix")) == (sent, prefix)


@pytest.mark.parametrize("path", ["/..", "/a/../b", "/%2e%2e/x", "/a/.%2E", "/a%2f..%2fb", "/a/..%5cb"])
def test_a_path_that_leads_out_is_refused(door: str, path: str) -> None:
    with upstream(hello) as up:
        assert send(door, Proxy(target=up.url + "/base"), path).status == 400
    assert up.asked == []


def test_redirects_and_cookies_are_moved_to_the_clients_place(through: Through) -> None:
    def redirect(peer: Peer) -> None:
        cookies = "Set-Cookie: a=b; Path=/base; Domain=127.0.0.1\r\nSet-Cookie: c=d\r\n"
        fields = f"Content-Type: text/plain\r\nLocation: {up.url}/base/next?x\r\nContent-Length: 0\r\n"
        peer.answer(f"HTTP/1.1 302 Found\r\n{fields}{cookies}\r\n".encode())

    with upstream(redirect) as up:
        layered = lambda app: Mount({"/shop": Proxy(target=f"{up.url}/base")}, default=app)  # noqa: E731
        seen = through(layered, "/shop/a")
        untouched = through(Proxy(target=f"{up.url}/base", rewrite=False), "/a")
    cookies = [value for name, value in seen.headers if name.lower() == "set-cookie"]
    assert (seen.get("Location"), cookies) == ("/shop/next?x", ["a=b; Path=/shop", "c=d"])
    assert untouched.get("Location") == f"{up.url}/base/next?x"


def test_a_request_that_goes_round_in_circles_is_ended(through: Through) -> None:
    with serving(Proxy(target=NOWHERE)) as place:
        assert ask(place, "/", headers=[("Via", ", ".join(["1.1 onionskin"] * 8))]).status == 508
    via = [("Via", "1.1 onionskin, 1.0 other, 1.1 onionskin")]
    with upstream(hello) as up:
        assert through(Proxy(target=up.url), headers=via).status == 200
    assert up.asked[0].get_all("via")[-1] == "1.1 onionskin"


def test_a_proxy_that_is_its_own_target_ends() -> None:
    with make_server("127.0.0.1", 0, lambda *_: []) as spare:
        port = spare.server_address[1]
    with make_server("127.0.0.1", port, Proxy(target=f"http://127.0.0.1:{port}")) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            assert ask(("127.0.0.1", port), "/").status == 508
        finally:
            server.shutdown()
            thread.join()


def test_max_forwards_counts_down(door: str) -> None:
    with upstream(hello) as up:
        assert send(door, Proxy(target=up.url), method="OPTIONS", max_forwards="3").status == 200
        assert send(door, Proxy(target=up.url), method="OPTIONS", max_forwards="0").status == 204
    assert [asked.get("max-forwards") for asked in up.asked] == ["2"]


def test_a_target_that_refuses_is_a_bad_gateway(through: Through, capfd: pytest.CaptureFixture[str]) -> None:
    assert through(Proxy(target=NOWHERE), "/x").status == 502
    line = f"onionskin: proxy: {NOWHERE}: connect: refused (GET /x) -> 502 (host example.org)\n"
    assert capfd.readouterr().err == line


def test_a_target_that_does_not_answer_is_a_gateway_timeout(through: Through) -> None:
    with upstream(lambda peer: peer.ended()) as up:
        began = time.monotonic()
        assert through(Proxy(target=up.url, first_byte_timeout="200ms")).status == 504
        assert through(Proxy(target=up.url, total_timeout="200ms")).status == 504
        assert time.monotonic() - began < 5


def test_a_target_may_be_a_unix_socket(through: Through, tmp_path: Path) -> None:
    with upstream(hello, tmp_path / "up.sock") as up:
        assert through(Proxy(target=up.url + ":/base"), "/x").body == b"from upstream"
    assert (up.asked[0].path, up.asked[0].get("host")) == ("/base/x", "localhost")


def test_a_body_that_is_too_large_is_refused(door: str) -> None:
    with upstream(echo) as up:
        app = Proxy(target=up.url, max_body="1KiB")
        assert send(door, app, "/", "POST", b"x" * 1024).status == 200
        assert send(door, app, "/", "POST", b"x" * 1025).status == 413
    assert len(up.asked) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "127.0.0.1:80"}, "proxy: target: "),
        ({"target": "http://a", "host": "a b"}, "proxy: host: "),
        ({"target": "http://a", "strip_prefix": "api"}, "proxy: strip_prefix: "),
        ({"target": "https://a", "ca_file": "/nowhere"}, "proxy: ca_file: /nowhere: "),
        ({"target": "http://a", "pool_timeout": "x"}, "proxy: pool_timeout: "),
        ({"target": "http://a", "forward": "all"}, "proxy: forward: "),
    ],
)
def test_wrong_options_are_refused_with_the_way_out(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Proxy(**options)
    assert str(refused.value).startswith(message)
    assert "; " in str(refused.value)
