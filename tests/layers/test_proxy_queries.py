"""Proxy forwards a query as the client sent it, as far as its own client can carry it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from onionskin import Mount, Proxy
from support.upstream import response, upstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.both_doors import Seen

    Through = Callable[..., Seen]


@pytest.mark.parametrize("mounted", ["/", "/shop", "/shop%2F"])
@pytest.mark.parametrize(
    ("query", "forwarded"),
    [
        ("a\\b`c^{d|e}'f?g/h%zz%0d%0a", "a\\b`c^{d|e}'f?g/h%zz%0d%0a"),
        ('a"b<c>', "a%22b%3Cc%3E"),
    ],
)
def test_a_query_is_forwarded(through: Through, mounted: str, query: str, forwarded: str) -> None:
    with upstream(lambda peer: peer.answer(response())) as up:
        route = mounted.removesuffix("%2F")
        seen = through(
            lambda inside: Mount({route: Proxy(target=up.url)}, default=inside), f"{mounted}?{query}"
        )
    assert (seen.status, seen.body) == (200, b"from upstream")
    assert up.asked[-1].path == f"/?{forwarded}"


def test_an_escaped_line_end_stays_escaped(through: Through) -> None:
    with upstream(lambda peer: peer.answer(response(location="/x"))) as up:
        proxy = Proxy(target=up.url, keep_prefix=True)
        seen = through(lambda inside: Mount({"/a\r\nb": proxy}, default=inside), "/a%0d%0Ab/c%0A")
    assert seen.get("Location") == "/x"
    assert up.asked[-1].path == "/a%0D%0Ab/c%0A"
