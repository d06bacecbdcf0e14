"""Flask's session, kept by the layer ``Session``.

    app.session_interface = onionskin.flask.SessionInterface()
    app.wsgi_app = onionskin.Session(app.wsgi_app, secret=[...])

``flask.session`` is then the session of the layer, with every type that Flask's own session can hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from flask.json.tag import TaggedJSONSerializer
from flask.sessions import NullSession, SessionMixin
from flask.sessions import SessionInterface as FlaskSessionInterface

if TYPE_CHECKING:
    from flask import Flask, Request, Response

    from onionskin._core import SessionMapping

__all__ = ["Session", "SessionInterface"]

TYPES = TaggedJSONSerializer()
"""What Flask makes of tuples, bytes, dates and the like in JSON."""

NO_LAYER = "there is no Session around the application; write app.wsgi_app = Session(app.wsgi_app, ...)"


class Session(SessionMixin):
    """``flask.session``: the values of the layer's session, read when they are first used."""

    def __init__(self, mapping: SessionMapping) -> None:
        self.mapping = mapping
        self._values: dict[str, Any] | None = None
        self._saved = False

    @property
    def in_flask(self) -> dict[str, Any]:
        """The values with the types that Flask has."""
        if self._values is None:
            self._values = {key: restored(value) for key, value in self.mapping.items()}
        return self._values

    def __getitem__(self, key: str) -> Any:
        return self.in_flask[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.in_flask[key] = value
        if self._saved:
            # The layer knows whether this still comes in time, and tells if it does not.
            self.mapping[key] = TYPES.tag(value)

    def __delitem__(self, key: str) -> None:
        del self.in_flask[key]
        if self._saved:
            self.mapping.pop(key, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.in_flask)

    def __len__(self) -> int:
        return len(self.in_flask)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self.mapping!r}>"

    def rotate(self) -> None:
        """Go on with the same values under a new id: when somebody logs in, or gets more rights."""
        self.mapping.rotate()

    def invalidate(self) -> None:
        """End the session, and go on with an empty one: when somebody logs out."""
        self.mapping.invalidate()
        self._values = {}

    @property
    def new(self) -> bool:
        """Whether the client came without a session, or with none that is still good."""
        return self.mapping.is_new

    def save(self) -> None:
        """Hands the values to the layer, if they were read. The layer sees whether they have changed."""
        self._saved = True
        if self._values is None:
            return
        for key in self.mapping.keys() - self._values.keys():
            del self.mapping[key]
        self.mapping.update({key: TYPES.tag(value) for key, value in self._values.items()})


class MissingSession(NullSession):
    """What stands in for a session where there is no layer: it is empty, and can't be changed."""

    def _fail(self, *args: Any, **values: Any) -> NoReturn:
        raise RuntimeError(NO_LAYER)

    __setitem__ = __delitem__ = clear = pop = popitem = update = setdefault = _fail


class SessionInterface(FlaskSessionInterface):
    """Opens and saves ``flask.session`` by the layer ``Session`` around the application."""

    null_session_class = MissingSession

    def open_session(self, app: Flask, request: Request) -> Session | None:
        """The session of a request; None without the layer, as in ``test_request_context``."""
        mapping = request.environ.get("onionskin.session")
        return None if mapping is None else Session(mapping)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Hands the session on; the cookie and its headers are the layer's."""
        assert isinstance(session, Session)
        session.save()


def restored(value: Any) -> Any:
    """A value of the layer's session as Flask has it."""
    return TYPES.loads(json.dumps(value)) if isinstance(value, (dict, list)) else value
