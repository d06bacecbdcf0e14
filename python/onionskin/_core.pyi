"""The native part of onionskin: the doors between Rust and Python, the layers' base class, and the server."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, final, overload

from _typeshed import OptExcInfo
from _typeshed.wsgi import StartResponse as WSGIStartResponse
from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
from typing_extensions import Self, disjoint_base

__all__ = [
    "Answer",
    "ConfigurationError",
    "FileWrapper",
    "Input",
    "Layer",
    "Onion",
    "Server",
    "StartResponse",
    "__version__",
    "declarations",
    "layer_from_text",
    "server_options",
]

__version__: str

class ConfigurationError(ValueError):
    """An option that is unknown, missing or wrong. The message says what, which, and what to do."""

def declarations() -> list[dict[str, Any]]:
    """The layers' declarations: name, class, summary, phase and the JSON schema of the options."""

def server_options() -> dict[str, Any]:
    """The JSON schema of the server's options."""

def layer_from_text(text: str) -> Layer:
    """A layer, with no application inside, out of its form on the command line: ``NAME:option=value,...``."""

@disjoint_base
class Layer:
    """One layer of the house, the base of each layer's class.

    With an application inside it is a WSGI application; without one it is called with the application, and
    gives the layer around it.
    """

    def __new__(
        cls, app: WSGIApplication | None, name: str, options: Mapping[str, Any] | Layer, /
    ) -> Self: ...
    @overload
    def __call__(self, app: WSGIApplication, /) -> Self: ...
    @overload
    def __call__(self, environ: WSGIEnvironment, start_response: WSGIStartResponse, /) -> Iterable[bytes]: ...
    @property
    def name(self) -> str:
        """The layer's name in configuration files and on the command line."""

    @property
    def options(self) -> dict[str, Any]:
        """The options, as they were given."""

    @property
    def app(self) -> WSGIApplication | None:
        """The application inside, or None."""

@final
class Onion:
    """Several layers, from the outside in: ``Onion(A(), B())(app)`` is ``A()(B()(app))``.

    Members may be layers without an application, and any other callable that takes an application and gives
    one.
    """

    def __new__(cls, *layers: Callable[[WSGIApplication], WSGIApplication]) -> Self: ...
    def __call__(self, app: WSGIApplication, /) -> WSGIApplication: ...

@final
class Server:
    """A server of one application, bound when it is made. ``onionskin.serve`` is the way to use it."""

    def __new__(cls, app: WSGIApplication, threads: int, options: dict[str, Any], /) -> Self: ...
    @property
    def bound(self) -> list[str]:
        """The places that it listens on, with the ports that the system chose."""

    def serve(self, *, signals: bool) -> tuple[int, bool]:
        """Serve until ``stop()``, or with ``signals`` until SIGINT or SIGTERM.

        Returns the signal's number, or 0; and whether every request was answered within the graceful timeout.
        """

    def handle_request(self, *, signals: bool) -> None:
        """Serve the first request of one connection."""

    def stop(self) -> None:
        """Begin a graceful stop, from any thread."""

    def close(self) -> None:
        """Give up the sockets of a server that does not serve."""

# What applications and servers meet at the doors. None of these is made by hand, but for FileWrapper.

@final
class StartResponse:
    """One request's ``start_response`` (PEP 3333), and the ``write`` that it returns.

    What is written goes out ahead of the iterable's blocks.
    """

    @overload
    def __call__(
        self, status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None, /
    ) -> Self: ...
    @overload
    def __call__(self, data: bytes, /) -> None: ...

@final
class Input:
    """A request body, ``wsgi.input``. Its end is the body's end, however it was framed."""

    def read(self, size: int | None = None, /) -> bytes: ...
    def readline(self, size: int | None = None, /) -> bytes: ...
    def readlines(self, hint: int | None = None, /) -> list[bytes]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> bytes: ...

@final
class FileWrapper:
    """A file for the response, ``wsgi.file_wrapper``: sent by the kernel where that can be done."""

    def __new__(cls, filelike: Any, block_size: int = 8192, /) -> Self: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> bytes: ...
    def close(self) -> None: ...

@final
class Answer:
    """The iterable that a layer returns where the application's own will not do."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> bytes: ...
    def close(self) -> None: ...
