"""Proxy below a mount point: paths in responses get the client's prefix once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, redirect, session, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

from onionskin import Mount, Proxy
from support.both_doors import serving
from support.upstream import Peer, response, upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.both_doors import Seen

    Through = Callable[..., Seen]


def shop() -> Flask:
    """A shop that redirects to its cart, with its session in a cookie of its own path."""
    app = Flask(__name__)
    app.secret_key = "for tests"

    @app.get("/buy")
    def buy() -> Any:
        session["bought"] = True
        return redirect(url_for("cart"))

    @app.get("/cart")
    def cart() -> str:
        return url_for("cart")

    return app


@pytest.fixture(params=["honours X-Forwarded-Prefix", "ignores it"])
def site(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The shop on a server of its own, and the way to it below /shop."""
    app: Any = shop()
    if request.param.startswith("honours"):
        app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)
    with serving(app) as (host, port):
        target = f"http://{host}:{port}"
        yield lambda inside: Mount({"/shop": Proxy(target=target)}, default=inside)


def test_a_redirect_and_a_cookie_get_the_prefix_once(site: Any, through: Through) -> None:
    seen = through(site, "/shop/buy")
    assert (seen.status, seen.get("Location")) == (302, "/shop/cart")
    assert "; Path=/shop" in (seen.get("Set-Cookie") or "") + "; "
    assert "/shop/shop" not in str(seen.headers)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("/cart", "/shop/cart"),
        ("/shop/cart", "/shop/cart"),
        ("/shop", "/shop"),
        ("/shopping", "/shop/shopping"),
        ("/shop%2Fcart", "/shop/shop%2Fcart"),
    ],
)
def test_what_begins_with_the_prefix_is_left_alone_in_every_field(
    through: Through, told: str, expected: str
) -> None:
    fields = {
        "Location": told,
        "Content-Location": told,
        "Refresh": f"5; url={told}",
        "Set-Cookie": f"a=b; Path={told}",
    }
    answer = response(b"", "201 Created", **{name.replace("-", "_"): value for name, value in fields.items()})
    with upstream(lambda peer: peer.answer(answer)) as up:
        seen = through(lambda inside: Mount({"/shop": Proxy(target=up.url)}), "/shop/x")
    assert {name: seen.get(name) for name in fields} == {
        "Location": expected,
        "Content-Location": expected,
        "Refresh": f"5; url={expected}",
        "Set-Cookie": f"a=b; Path={expected}",
    }


def test_the_prefix_of_a_trusted_proxy_comes_before_ours(through: Through) -> None:
    def honour(peer: Peer) -> None:
        prefix = peer.request().get("x-forwarded-prefix")
        peer.send(response(b"", "303 See Other", location=f"{prefix}/cart"))

    headers = [("X-Forwarded-Prefix", "/eu/")]
    with upstream(honour) as up:
        seen = through(
            lambda inside: Mount({"/shop": Proxy(target=up.url, trust_forwarded=True)}),
            "/shop/buy",
            headers=headers,
        )
        assert seen.get("Location") == "/eu/shop/cart"
        seen = through(lambda inside: Mount({"/shop": Proxy(target=up.url)}), "/shop/buy", headers=headers)
        assert seen.get("Location") == "/shop/cart"


def test_a_blank_before_the_colon_is_removed_from_a_response(through: Through) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type : text/plain\r\nX-Spaced \t: yes\r\nContent-Length : 5\r\n\r\n"
    with upstream(lambda peer: peer.answer(head + b"hello")) as up:
        seen = through(lambda inside: Proxy(target=up.url))
    assert (seen.status, seen.body) == (200, b"hello")
    assert (seen.get("Content-Type"), seen.get("X-Spaced")) == ("text/plain", "yes")


def test_two_lengths_are_rejected_with_a_blank_before_the_colon_too(through: Through) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\nContent-Length: 6\r\n\r\nhello!"
    with upstream(lambda peer: peer.answer(head)) as up:
        assert through(lambda inside: Proxy(target=up.url)).status == 502
