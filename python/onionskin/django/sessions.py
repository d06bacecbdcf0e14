"""The session engine: what ``SESSION_ENGINE`` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from onionskin._core import SessionMapping

__all__ = ["SessionStore"]

NO_REQUEST = "a session is there for a request only; use onionskin.django.SessionMiddleware to have it"
NO_EXPIRY = "how long a session lasts is said by the layer; give Session idle= and absolute="
KEPT = "_kept"
"""A session without values is not kept: what stands in one that was made with ``create()``."""


class SessionStore(SessionBase):
    """``request.session``: the session of the layer around the application."""

    def __init__(self, session_key: str | None = None, *, mapping: SessionMapping | None = None) -> None:
        self.mapping = mapping
        super().__init__(session_key)

    def _get_session(self, no_load: bool = False) -> SessionMapping:
        """The values; the layer reads them when they are first used."""
        if self.mapping is None:
            raise ImproperlyConfigured(NO_REQUEST)
        self.accessed = True
        return self.mapping

    async def _aget_session(self, no_load: bool = False) -> SessionMapping:
        return self._get_session()

    _session = property(_get_session)

    def _get_session_key(self) -> str | None:
        """A name for the session, as stores and logs have it; None for one that is not kept."""
        session = self._get_session()
        return session.id if session else None

    def _leave_session_key(self, _key: str | None) -> None:
        """The layer chooses it."""

    session_key = property(_get_session_key)
    _session_key = property(_get_session_key, _leave_session_key)

    def is_empty(self) -> bool:
        """Whether there are no values."""
        return not self._get_session()

    def clear(self) -> None:
        """Takes all values away."""
        self._get_session().clear()
        self.modified = True

    def create(self) -> None:
        """Begins another session, which is kept even without values."""
        self.flush()
        self._get_session()[KEPT] = True

    def flush(self) -> None:
        """Ends the session, and goes on with an empty one."""
        self._get_session().invalidate()
        self.modified = True

    async def aflush(self) -> None:
        """See ``flush``."""
        self.flush()

    def cycle_key(self) -> None:
        """Goes on with the same values under a new id."""
        self._get_session().rotate()
        self.modified = True

    async def acycle_key(self) -> None:
        """See ``cycle_key``."""
        self.cycle_key()

    def load(self) -> dict[str, Any]:
        """The values."""
        return dict(self._get_session())

    def save(self, must_create: bool = False) -> None:
        """Sees to it that the session is kept. The layer saves it when the head goes out."""
        session = self._get_session()
        if not session:
            session[KEPT] = True

    def exists(self, session_key: str) -> bool:
        """Whether this is the session of the request; no others can be looked for."""
        return bool(session_key == self.session_key)

    def delete(self, session_key: str | None = None) -> None:
        """Ends the session of the request; no others can be ended by their names."""
        if session_key in (None, self.session_key):
            self.flush()

    def set_expiry(self, value: Any) -> None:
        """Refuses: how long a session lasts is the layer's.

        Raises:
            NotImplementedError: A time was given. To ignore it would be worse: who asks for five minutes
                must not get two hours without a word.
        """
        if value is not None:
            raise NotImplementedError(NO_EXPIRY)

    async def aset_expiry(self, value: Any) -> None:
        """See ``set_expiry``."""
        self.set_expiry(value)

    @classmethod
    def clear_expired(cls) -> None:
        """Nothing to do: stores forget expired sessions by themselves."""
