"""Rejects applications that cannot be served: ASGI callables, classes, factories, green threads.

It looks at code flags and signatures and calls nothing. An object that it cannot judge is accepted.
"""

from __future__ import annotations

import sys

from onionskin._core import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

ASYNC = 0x80 | 0x200
"""``CO_COROUTINE`` and ``CO_ASYNC_GENERATOR`` of :mod:`inspect`, which is large."""

TAKES_ANY = 0x04
"""``CO_VARARGS``."""


def check(app: Any, where: str) -> None:
    """Refuse a callable that is not a WSGI application.

    Raises:
        ConfigurationError: It does not take ``environ`` and ``start_response``, or returns a coroutine.
    """
    described = f"{where}: {name_of(app)}"
    if asgi := asgi_kind(app):
        raise ConfigurationError(
            f"{described} is not a WSGI application but an ASGI application ({asgi}); expected a callable "
            "that takes environ and start_response. Serve it with an ASGI server such as uvicorn, or wrap it "
            "in a2wsgi.ASGIMiddleware"
        )
    if isinstance(app, type):
        if not makes_responses(app):
            raise ConfigurationError(
                f"{described} is a class, not a WSGI application; expected an instance, such as "
                f"{app.__name__}()"
            )
        return
    if (names := wrong_parameters(app)) is not None:
        way_out = f"call it: {where}()" if not names and ":" in where else "name a WSGI application"
        takes = f"takes ({', '.join(names)})" if names else "takes no arguments"
        raise ConfigurationError(
            f"{described} {takes}; expected a callable that takes environ and start_response; {way_out}"
        )


def asgi_kind(app: Any) -> str:
    """Return why an object is an ASGI application; empty if it is not."""
    app = unwrapped(app)
    if (code := code_of(app)) is not None:
        if code.co_flags & ASYNC:
            return "an async function"
        return "it takes scope, receive and send" if parameters(app)[:3] == ASGI else ""
    kind = app if isinstance(app, type) else type(app)
    call = unwrapped(vars_of(kind, "__call__"))
    code = code_of(call)
    if code is None:
        return ""
    if code.co_flags & ASYNC:
        return "a class with async __call__" if isinstance(app, type) else f"an instance of {kind.__name__}"
    return "its __call__ takes scope, receive and send" if parameters(call)[1:4] == ASGI else ""


ASGI = ["scope", "receive", "send"]


def unwrapped(app: Any) -> Any:
    """Return the function below bound methods and partial objects."""
    for _ in range(10):
        inner = getattr(app, "__func__", None) or (getattr(app, "func", None) if is_partial(app) else None)
        if inner is None:
            break
        app = inner
    return app


def is_partial(app: Any) -> bool:
    functools = sys.modules.get("functools")
    return functools is not None and isinstance(app, functools.partial)


def code_of(app: Any) -> CodeType | None:
    """Return the code of a plain Python function."""
    return getattr(app, "__code__", None) if type(app).__name__ == "function" else None


def vars_of(kind: type, name: str) -> Any:
    """Return an attribute of a class as it is defined, from the first class that has it."""
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def parameters(function: Any) -> list[str]:
    """Return the names of the positional parameters of a plain function."""
    code = function.__code__
    return list(code.co_varnames[: code.co_argcount])


def makes_responses(kind: type) -> bool:
    """Return whether instances of a class may be response iterables, which PEP 3333 allows."""
    is_iterable = any(vars_of(kind, name) is not None for name in ("__iter__", "__getitem__"))
    is_unusual = vars_of(kind, "__new__") is not vars(object)["__new__"] or type(kind) is not type
    return is_iterable or is_unusual


def wrong_parameters(app: Any) -> list[str] | None:
    """Return the parameters of a plain function or method that cannot be called with two arguments."""
    function, bound = app, 0
    if (method := getattr(app, "__func__", None)) is not None:
        function, bound = method, 1
    elif code_of(app) is None:
        function, bound = vars_of(type(app), "__call__"), 1
    code = code_of(function)
    if code is None:
        return None
    names = parameters(function)[bound:]
    keyword_only = set(code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount])
    if keyword_only - set(function.__kwdefaults__ or {}):
        return [*names, *sorted(keyword_only)]
    required = len(names) - len(function.__defaults__ or ())
    fits = required <= 2 and (len(names) >= 2 or code.co_flags & TAKES_ANY)
    return None if fits else names


def name_of(app: Any) -> str:
    """Return the name of an application for a message."""
    named = app if hasattr(app, "__qualname__") else type(app)
    name = f"{named.__module__}.{named.__qualname__}"
    return name if named is app else f"an instance of {name}"


def check_threads() -> None:
    """Refuse to serve in a process that gevent or eventlet has patched.

    The threads of the server are real ones. Patched locks and sockets would wait for a hub that never runs.

    Raises:
        ConfigurationError: The process is patched.
    """
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    patched = {
        "gevent": bool(getattr(gevent, "saved", None)),
        "eventlet": any(getattr(eventlet, "already_patched", {}).values()),
    }
    if name := next((name for name, is_patched in patched.items() if is_patched), None):
        raise ConfigurationError(
            f"the application has patched Python's threads with {name}, and calls in the server's threads "
            f"would hang; remove {name}'s monkey patching, or serve it with gunicorn --worker-class {name}"
        )
