"""The spelling of a path: `%2F` is not `/`, under every server that shows the request target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from onionskin import Mount, Proxy
from support.servers import Servers
from support.upstream import Peer, response, upstream
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.both_doors import Seen

TARGETS = ["/a%2Fb/c%20d?e=%2F", "/%7Euser/~user", "/caf%C3%A9%2f", "/a%252Fb", "/plain/path"]


def echo(peer: Peer) -> None:
    """Answers with the request target."""
    peer.send(response(peer.request().path.encode()))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Servers]:
    """Servers of one test."""
    servers = Servers(tmp_path)
    yield servers
    servers.stop()


def test_a_proxy_passes_the_path_on_as_it_came(own: Servers, kind: str) -> None:
    if kind == "wsgiref":
        pytest.skip("wsgiref does not show the request target")
    with upstream(echo) as up:
        server = own.get(kind, "layers.proxying:application", TARGET=up.url)
        assert [server.ask(target).text for target in TARGETS] == TARGETS


def test_the_path_below_a_mount_point_is_spelled_as_it_came(through: Callable[..., Seen]) -> None:
    with upstream(echo) as up:
        for path in ("/shop/a%2Fb", "/%73hop/a%2Fb"):
            seen = through(lambda inside: Mount({"/shop": Proxy(target=up.url)}), path)
            assert seen.body == b"/a%2Fb"


def told(app: Any, **keys: str) -> str:
    """What an upstream is asked for, for one environ."""
    environ = make_environ(keys.pop("PATH_INFO"))
    environ.update(keys)
    return run(app, environ).body.decode()


def test_a_request_target_that_decodes_to_another_path_is_not_used() -> None:
    with upstream(echo) as up:
        app = Proxy(target=up.url)
        assert told(app, PATH_INFO="/a/b", REQUEST_URI="/a%2Fb") == "/a%2Fb"
        assert told(app, PATH_INFO="/a/b", RAW_URI="http://h/a%2Fb?x") == "/a%2Fb"
        assert told(app, PATH_INFO="/b", SCRIPT_NAME="/a", RAW_URI="/a/b") == "/b"
        # A middleware in between has changed the path, or a proxy in front has removed the prefix.
        assert told(app, PATH_INFO="/changed", REQUEST_URI="/a%2Fb") == "/changed"
        assert told(app, PATH_INFO="/a/b", SCRIPT_NAME="/shop", REQUEST_URI="/a%2Fb") == "/a%2Fb"
        assert told(app, PATH_INFO="/b", REQUEST_URI="/a/../b") == "/b"
