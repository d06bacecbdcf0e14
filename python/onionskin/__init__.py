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
from onionskin.layers import *  # noqa: F403 - the list of the layers is generated there
from onionskin.layers import AllowAddresses
from onionskin.serving import serve

AuthenticationMiddleware = AllowAddresses
"""The address layer under the name that WSGI's tutorials give it."""

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
