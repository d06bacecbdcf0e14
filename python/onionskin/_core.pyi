"""The native part of onionskin: the doors between Rust and Python, the layers' base class, and the server."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, final, type_check_only

from _typeshed import OptExcInfo
from _typeshed.wsgi import StartResponse as _StartResponse
from _typeshed.wsgi import WSGIApplication
from typing_extensions import Self

__version__: str

class ConfigurationError(ValueError):
    """An option that is unknown, missing or wrong. The message says what, which, and what to do."""
