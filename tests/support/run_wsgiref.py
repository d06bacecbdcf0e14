"""``python -m support.run_wsgiref package.module:name PORT``: the standard library's server."""

from __future__ import annotations

import sys
from importlib import import_module
from wsgiref.simple_server import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    """Tells of errors only."""

    def log_message(self, format: str, *args: object) -> None:
        """Not of each request."""


def main(target: str, port: str) -> None:
    """Serve until the process is ended."""
    module, _, name = target.partition(":")
    app = getattr(import_module(module), name)
    with make_server("127.0.0.1", int(port), app, handler_class=Quiet) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
