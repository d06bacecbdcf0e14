"""A drop-in for ``wsgiref.simple_server``: the same script, served by onionskin.

from onionskin.simple_server import make_server, demo_app

with make_server("", 8000, demo_app) as server:
    server.serve_forever()
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from wsgiref.simple_server import demo_app

from onionskin import _core, interface
from onionskin.serving import in_main_thread, run

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed.wsgi import WSGIApplication
    from typing_extensions import Self

__all__ = ["WSGIServer", "demo_app", "make_server"]


class WSGIServer:
    """A server that is bound when it is made.

    Attributes:
        server_name: The host that it is bound to.
        server_port: The TCP port that it is bound to.
        server_address: Both.
    """

    def __init__(self, host: str, port: int, app: WSGIApplication, threads: int = 1) -> None:
        """Bind to ``host`` (every IPv4 address if it is empty) and ``port`` (a free one if it is 0).

        Raises:
            OSError: The port is taken, or not permitted.
        """
        interface.check_threads()
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.application = app
        self._server = _core.Server(app, {"bind": [place], "threads": threads, "graceful_timeout": "5s"})
        bound_host, _, bound_port = self._server.bound[0].rpartition(":")
        self.server_name = bound_host.strip("[]")
        self.server_port = int(bound_port)
        self.server_address = (self.server_name, self.server_port)
        self._ended = threading.Event()
        self._ended.set()

    def get_app(self) -> WSGIApplication:
        """The application that is served."""
        return self.application

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve until ``shutdown()`` is called; in the main thread until Ctrl-C or SIGTERM as well.

        Both end it cleanly: the requests in flight are answered, and it returns.

        Args:
            poll_interval: Taken for compatibility; nothing is polled here.
        """
        self._ended.clear()
        try:
            run(self._server)
        finally:
            self._ended.set()

    def handle_request(self) -> None:
        """Serve the first request of one connection, and return."""
        self._server.handle_request(signals=in_main_thread())

    def shutdown(self) -> None:
        """Stop ``serve_forever()``, from another thread; returns when it has ended."""
        self._server.stop()
        self._ended.wait()

    def server_close(self) -> None:
        """Give up the socket."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.server_close()


def make_server(host: str, port: int, app: WSGIApplication, *, threads: int = 1) -> WSGIServer:
    """A server for ``app`` on ``host`` and ``port``, bound and ready for ``serve_forever()``."""
    return WSGIServer(host, port, app, threads)
