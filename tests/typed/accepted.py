"""Uses of onionskin that type checkers accept in strict mode.

Read by test_typing.py, never run.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

import onionskin
from onionskin import AllowAddresses, Balance, Headers, Mount, Onion, Proxy, RequestId, Session, StaticFiles

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SECRETS = ["32 or more random characters, not these"]


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b"Hello"]


flask = Flask(__name__)
# mypy rejects any assignment to a method, whatever its value; pyright checks the value.
flask.wsgi_app = Session(flask.wsgi_app, secret=SECRETS)  # type: ignore[method-assign]

applications: list[WSGIApplication] = [
    flask,
    Session(hello, secret=SECRETS, idle="30m", absolute=86400),
    Session(secret=SECRETS)(hello),
    AllowAddresses(hello, ["127.0.0.1"]),
    AllowAddresses(hello, allowed_addresses=["127.0.0.1"]),
    AllowAddresses(allowed_addresses=["127.0.0.1"], match={"path": "/admin/**"})(hello),
    Mount({"/hello": hello, "/flask": flask}),
    Mount(hello, {"/flask": flask}),
    Mount(routes={"/hello": "package.module:hello"}),
    Proxy("http://127.0.0.1:9000"),
    Proxy(hello, target="http://127.0.0.1:9000", match={"path": "/api/**"}),
    Balance(targets=["http://127.0.0.1:9000"]),
    StaticFiles("static"),
    StaticFiles(hello, root="static", max_age=60),
    Onion(RequestId(), Headers(response={"set": {"X-Frame-Options": "DENY"}}))(hello),
]


def main() -> bool:
    return onionskin.serve(
        "package.module:hello",
        bind=["127.0.0.1:8000"],
        workers="auto",
        graceful_timeout=30,
        max_body="10MiB",
        error_log_format="json",
        http2=False,
    )
