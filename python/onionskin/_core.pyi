"""The native part of onionskin: the doors between Rust and Python, the layers' base class, and the server."""

from collections.abc import (
    Callable,
    ItemsView,
    Iterable,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    Sequence,
    ValuesView,
)
from datetime import datetime, timedelta
from typing import Any, ClassVar, NoReturn, final, overload

from _typeshed import OptExcInfo, WriteableBuffer
from _typeshed.wsgi import StartResponse as WSGIStartResponse
from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
from typing_extensions import Self, disjoint_base

__all__ = [
    "Answer",
    "BootError",
    "Configuration",
    "ConfigurationError",
    "FileWrapper",
    "Input",
    "Layer",
    "Onion",
    "RequestTimeout",
    "Server",
    "SessionMapping",
    "SessionTransaction",
    "SessionUnavailable",
    "StartResponse",
    "Supervisor",
    "__version__",
    "configuration_schema",
    "declarations",
    "enter_boot",
    "layer_from_text",
    "layer_problems",
    "misplaced",
    "number_of_workers",
    "options_from_texts",
    "server_options",
    "suggestion",
]

__version__: str

class ConfigurationError(ValueError):
    """An option that is unknown, missing or wrong. The message says what, which, and what to do."""

def declarations() -> list[dict[str, Any]]:
    """The layers' declarations: name, class, summary, phase and the JSON schema of the options."""

def server_options() -> dict[str, Any]:
    """The JSON schema of the server's options."""

def configuration_schema() -> dict[str, Any]:
    """The JSON schema of ``onion.toml``."""

def suggestion(name: str, known: Sequence[str]) -> str | None:
    """Return the one of ``known`` that was probably meant by ``name``, if any is near."""

def misplaced(names: Sequence[str]) -> list[tuple[str, str, str]]:
    """The layers that stand too far inside, among the names of layers from the outside in.

    Each with the layer that it should stand outside of, and why.
    """

@final
class Configuration:
    """Everything that was given, read into one. ``onionskin.configuration.read`` is the way to make it."""

    def __new__(
        cls,
        config: str | bool | None,
        environment: Sequence[tuple[str, str]],
        flags: Sequence[tuple[str, Sequence[str]]],
        arguments: dict[str, Any],
        /,
    ) -> Self: ...
    @property
    def data(self) -> dict[str, Any]:
        """All of it as dicts, lists and texts, which can be handed to another process as JSON.

        Secrets are in it.
        """

    @property
    def masked(self) -> dict[str, Any]:
        """The same for people to see: without its secrets."""

    def toml(self) -> str:
        """As a file that says the same and where each value was given, without its secrets."""

def options_from_texts(name: str, texts: dict[str, str]) -> dict[str, Any]:
    """A layer's options out of their texts in an ``.ini`` file."""

class BootError(RuntimeError):
    """No worker became ready. The message says why, in one line."""

    details: str
    """The traceback, if there is one."""

def number_of_workers(options: dict[str, Any]) -> int:
    """How many workers these options ask for, 0 if no supervisor is wanted.

    Raises ``ConfigurationError`` for what is wrong in them.
    """

def layer_problems(name: str, options: dict[str, Any]) -> list[str]:
    """Return all that is wrong with the options of a layer, without the applications that it may name."""

def enter_boot() -> None:
    """Have this process end with the one that started it, until it is ready to serve."""

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
    def __call__(self, environ: WSGIEnvironment, start_response: WSGIStartResponse) -> Iterable[bytes]: ...
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

    def __new__(
        cls,
        app: WSGIApplication,
        options: dict[str, Any],
        sockets: list[tuple[int, str]] | None = None,
        handed: list[tuple[int, str]] = ...,
        /,
    ) -> Self: ...
    @staticmethod
    def check(options: dict[str, Any], /) -> None:
        """Raise what a server of these options would raise, and open no socket and no log."""

    @property
    def bound(self) -> list[str]:
        """The places that it listens on, with the ports that the system chose."""

    @property
    def stuck_calls(self) -> int:
        """How many calls have gone on after their timeout for longer than ``request_timeout_kill``."""

    def serve(
        self,
        *,
        signals: bool,
        ready: Callable[[], None] | None = None,
        notify: str | None = None,
        watchdog: int | None = None,
    ) -> tuple[int, bool]:
        """Serve until ``stop()``, or with ``signals`` until SIGINT or SIGTERM.

        ``ready()`` is called as soon as signals are listened to. With ``signals`` systemd is told at the
        socket ``notify``, and within every ``watchdog`` microseconds.
        Returns the signal's number, or 0; and whether every request was answered within the graceful timeout.
        """

    def work(self, control: int, about: str, imported: Callable[[], list[str]] | None = None, /) -> bool:
        """Serve as a worker: become ready, tell the supervisor, serve until it says otherwise.

        ``imported()`` gives the folders that something was imported from since it was called last.
        Returns whether every request was answered.
        """

    def handle_request(self, *, signals: bool) -> None:
        """Serve the first request of one connection."""

    def stop(self) -> None:
        """Begin a graceful stop, from any thread."""

    def close(self) -> None:
        """Give up the sockets of a server that does not serve."""

@final
class Supervisor:
    """A supervisor of workers. ``onionskin serve --workers`` is the way to use it."""

    def __new__(
        cls,
        read: Callable[[], tuple[list[str], str, dict[str, Any], list[str]]],
        *,
        handed: list[tuple[int, str]] = ...,
        estate: str | None = None,
        notify: str | None = None,
        watchdog: int | None = None,
    ) -> Self: ...
    def run(self) -> bool:
        """Bind, and supervise until SIGINT or SIGTERM. Returns whether every request was answered."""

class RequestTimeout(BaseException):
    """Raised in a call into the application that takes longer than ``request_timeout``.

    It is no ``Exception``, so that what catches those lets it pass. The client has been answered by then.
    """

class SessionUnavailable(RuntimeError):
    """The session can't be had, for its store does not answer. The request will be answered 503."""

@final
class SessionMapping(MutableMapping[str, Any]):
    """The values that last from request to request: a mapping of strings to JSON values.

    It is read when it is first used, and saved before the head of the response goes out if it has changed, be
    it deep inside a value.
    """

    def __len__(self) -> int: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __getitem__(self, key: str, /) -> Any: ...
    def __setitem__(self, key: str, value: Any, /) -> None: ...
    def __delitem__(self, key: str, /) -> None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def get(self, key: str, default: Any = None, /) -> Any: ...
    def keys(self) -> KeysView[str]: ...
    def values(self) -> ValuesView[Any]: ...
    def items(self) -> ItemsView[str, Any]: ...
    def pop(self, key: str, /, *default: Any) -> Any: ...
    def popitem(self) -> tuple[str, Any]: ...
    def clear(self) -> None: ...
    def update(self, other: Any = None, /, **values: Any) -> None: ...
    def setdefault(self, key: str, default: Any = None, /) -> Any: ...
    def rotate(self) -> None:
        """Go on with the same values under a new id: when somebody logs in, or gets more rights."""

    def invalidate(self) -> None:
        """End the session, in the store too, and go on with an empty one: when somebody logs out."""

    def set_lifetime(
        self, lifetime: float | timedelta | datetime | None = None, /, *, persistent: bool | None = None
    ) -> None:
        """Choose how long this session lasts.

        A number of seconds or a ``timedelta`` after its last use, a point in time, or None for the layer's
        own options. Its cookie outlives the browser if it is ``persistent``, by default if a lifetime is
        given.
        """

    @property
    def max_age(self) -> int:
        """In how many seconds the session expires if this is its last use."""

    @property
    def persistent(self) -> bool:
        """Whether the session's cookie outlives the browser."""

    @property
    def is_new(self) -> bool:
        """Whether the client came without a session, or with none that is still good."""

    @property
    def modified(self) -> bool:
        """Whether there is something to save."""

    @property
    def id(self) -> str:
        """What the session is called in stores and logs. It opens nothing, and changes with ``rotate()``."""

@final
class SessionTransaction:
    """The session that a layer has for a request with this environ, until ``finish()`` saves it."""

    def __new__(cls, layer: Layer, environ: WSGIEnvironment) -> Self: ...
    @property
    def session(self) -> SessionMapping | None:
        """The session, or None if the layer is not there for such a request."""

    def finish(
        self, status: int = 200, headers: list[tuple[str, str]] = ..., /
    ) -> tuple[int, list[tuple[str, str]]]:
        """Save the session as for a response with this status and these headers, once.

        Returns the status and the headers that the layer makes of them.
        """

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
    """A request body, ``wsgi.input``, with the methods of ``io.BufferedIOBase``.

    It ends where the body ends, however that was framed.
    """

    closed: ClassVar[bool]
    def read(self, size: int | None = None, /) -> bytes: ...
    def read1(self, size: int | None = None, /) -> bytes: ...
    def readinto(self, buffer: WriteableBuffer) -> int: ...
    def readinto1(self, buffer: WriteableBuffer) -> int: ...
    def readline(self, size: int | None = None, /) -> bytes: ...
    def readlines(self, hint: int | None = None, /) -> list[bytes]: ...
    def readable(self) -> bool: ...
    def writable(self) -> bool: ...
    def seekable(self) -> bool: ...
    def isatty(self) -> bool: ...
    def close(self) -> None:
        """Do nothing: the server closes the stream (PEP 3333)."""

    def flush(self) -> None: ...
    def fileno(self) -> NoReturn: ...
    def tell(self) -> NoReturn: ...
    def seek(self, *_arguments: Any) -> NoReturn: ...
    def truncate(self, *_arguments: Any) -> NoReturn: ...
    def write(self, _data: object) -> NoReturn: ...
    def writelines(self, _lines: object) -> NoReturn: ...
    def detach(self) -> NoReturn: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_exception: object) -> None: ...
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
