"""The WSGI onion in Rust: a server, and the layers around an application.

    from onionskin import AllowAddresses, serve

    application = AllowAddresses(application, ["127.0.0.1", "10.0.0.0/8"])
    serve(application, bind=["127.0.0.1:8000"])

Every layer is a WSGI middleware too: the same ``application`` runs under gunicorn, uWSGI or waitress.
"""

from onionskin import layers
from onionskin._core import (
    ConfigurationError,
    Layer,
    Onion,
    RequestTimeout,
    SessionMapping,
    SessionUnavailable,
    __version__,
)
from onionskin.serving import serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onionskin.layers import *  # noqa: F403 - the list of the layers is generated there
    from onionskin.layers import AllowAddresses

    AuthenticationMiddleware = AllowAddresses

ALIASES = {"AuthenticationMiddleware": "AllowAddresses"}
"""The address layer has the name, too, that WSGI's tutorials give it."""

__all__ = [
    "AuthenticationMiddleware",
    "ConfigurationError",
    "Layer",
    "Onion",
    "RequestTimeout",
    "SessionMapping",
    "SessionUnavailable",
    "__version__",
    "serve",
]
__all__ += layers.__all__


def __getattr__(name: str) -> object:
    """Give a layer, which is imported when it is first asked for."""
    if name not in ALIASES and name not in layers.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(layers, ALIASES.get(name, name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
