"""A browser, so to speak: an HTTP client with cookies, uploads and redirects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from support.servers import Served

TIMEOUT = 10.0


def browser(server: Served) -> httpx.Client:
    """A client that starts at ``server``; to be closed."""
    # uWSGI's --http-socket ends each connection without saying so before.
    headers = {"Connection": "close"} if server.kind == "uwsgi" else {}
    return httpx.Client(base_url=server.url, timeout=TIMEOUT, headers=headers)
