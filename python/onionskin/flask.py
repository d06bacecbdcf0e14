"""Flask's session, kept by the layer ``Session``.

    app.session_interface = onionskin.flask.SessionInterface()
    app.wsgi_app = onionskin.Session(app.wsgi_app, secret=[...])

``flask.session`` is then the session of the layer, with every type that Flask's own session accepts.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from flask import json as flask_json
from flask.json.tag import TaggedJSONSerializer
from flask.sessions import SessionInterface as FlaskSessionInterface
from flask.sessions import SessionMixin

from onionskin._core import SessionTransaction
from onionskin._session_testing import MemorySessions, find_layer, save

if TYPE_CHECKING:
    from flask import Flask, Request, Response

    from onionskin._core import SessionMapping

__all__ = ["Session", "SessionInterface"]

TYPES = TaggedJSONSerializer()
"""Flask's own form of tuples, bytes, dates and the like in JSON."""

NO_LAYER = (
    "there is no Session layer around the application; expected app.wsgi_app = Session(app.wsgi_app, ...), "
    "or app.testing = True in tests"
)


class Session(SessionMixin):
    """``flask.session``: the values of the layer's session, read when they are first used."""

    def __init__(
        self,
        mapping: SessionMapping | None = None,
        opening: Callable[[], tuple[SessionTransaction, bool]] | None = None,
    ) -> None:
        self._mapping = mapping
        self._opening = opening
        self.transaction: SessionTransaction | None = None
        self.can_be_saved = True
        self._values: dict[str, Any] | None = None
        self._saved = False

    @property
    def mapping(self) -> SessionMapping:
        """The layer's session. Without a layer it is opened when it is first used."""
        if self._mapping is None:
            assert self._opening is not None
            self.transaction, self.can_be_saved = self._opening()
            assert self.transaction.session is not None
            self._mapping = self.transaction.session
        return self._mapping

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
            # The layer knows whether this still comes in time, and logs it if it does not.
            self.mapping.update(stored({key: value}))

    def __delitem__(self, key: str) -> None:
        del self.in_flask[key]
        if self._saved:
            self.mapping.pop(key, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.in_flask)

    def __len__(self) -> int:
        return len(self.in_flask)

    def __repr__(self) -> str:
        shown = "not read yet" if self._values is None else f"{len(self._values)} values"
        return f"<{type(self).__name__}, {shown}>"

    def rotate(self) -> None:
        """Go on with the same values under a new id: when somebody logs in, or gets more rights."""
        self.mapping.rotate()

    def invalidate(self) -> None:
        """End the session, and go on with an empty one: when somebody logs out."""
        self.mapping.invalidate()
        self._values = {}

    def set_lifetime(
        self,
        lifetime: float | datetime.timedelta | datetime.datetime | None = None,
        *,
        persistent: bool | None = None,
    ) -> None:
        """Choose how long this session lasts; see ``onionskin.SessionMapping.set_lifetime``."""
        self.mapping.set_lifetime(lifetime, persistent=persistent)

    @property
    def new(self) -> bool:
        """Whether the client came without a session, or with none that is still good."""
        return self.mapping.is_new

    @property
    def is_changed(self) -> bool:
        """Whether there is something to save."""
        return self._mapping is not None and self._mapping.modified

    def save(self, lifetime: datetime.timedelta) -> None:
        """Hands the values to the layer, if they were read. The layer finds out whether they have changed.

        A session that is ``permanent`` lasts for ``lifetime``, and its cookie outlives the browser.
        """
        self._saved = True
        if self._values is None:
            return
        before = bool(self.mapping.get("_permanent"))
        values = stored(self._values)
        for key in self.mapping.keys() - values.keys():
            del self.mapping[key]
        self.mapping.update(values)
        if self.permanent:
            self.mapping.set_lifetime(lifetime)
        elif before:
            self.mapping.set_lifetime(None)


class SessionInterface(FlaskSessionInterface):
    """Opens and saves ``flask.session`` by the layer ``Session`` around the application.

    In tests (``app.testing``) the layer may be missing: sessions are then kept in memory.
    """

    def __init__(self) -> None:
        self._memory: MemorySessions | None = None

    def open_session(self, app: Flask, request: Request) -> Session:
        """The session of a request."""
        mapping = request.environ.get("onionskin.session")
        if mapping is not None:
            return Session(mapping)
        return Session(opening=lambda: self._open(app, request))

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Hands the session on; the cookie and its headers are the layer's.

        Raises:
            RuntimeError: The session has changed, and there is no layer.
        """
        assert isinstance(session, Session)
        session.save(app.permanent_session_lifetime)
        if session.transaction is None:
            return
        if not session.can_be_saved:
            if session.is_changed:
                raise RuntimeError(NO_LAYER)
            return
        transaction, session.transaction = session.transaction, None
        for name, value in save(transaction, response.status_code, response.headers.items()):
            if name == "set-cookie":
                response.headers.add("Set-Cookie", value)
            else:
                response.headers[name] = value

    def _open(self, app: Flask, request: Request) -> tuple[SessionTransaction, bool]:
        """The session of a request that has not passed the layer, and whether it can be saved."""
        layer = find_layer(app.wsgi_app)
        if layer is not None:
            transaction = SessionTransaction(layer, request.environ)
            if transaction.session is not None:
                return transaction, app.testing
        if self._memory is None:
            self._memory = MemorySessions(app.config["SESSION_COOKIE_NAME"])
        # A layer that is not there for this request is not there in tests, either.
        return SessionTransaction(self._memory.layer, request.environ), app.testing and layer is None


def stored(values: dict[str, Any]) -> dict[str, Any]:
    """Values as the layer keeps them: as JSON, by the application's own JSON provider."""
    tagged = {key: TYPES.tag(value) for key, value in values.items()}
    kept: dict[str, Any] = json.loads(flask_json.dumps(tagged, separators=(",", ":"), sort_keys=False))
    return kept


def restored(value: Any) -> Any:
    """A value of the layer's session as Flask has it."""
    return TYPES.loads(json.dumps(value)) if isinstance(value, (dict, list)) else value
