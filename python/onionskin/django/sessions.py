"""The session engine: what ``SESSION_ENGINE`` names."""

from __future__ import annotations

import datetime
import sys
from typing import TYPE_CHECKING, Any

from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ImproperlyConfigured

if TYPE_CHECKING:
    from onionskin._core import SessionMapping
    from onionskin.django.testing import TestSession

__all__ = ["SessionStore"]

NO_REQUEST = "a session is there for a request only; use onionskin.django.SessionMiddleware to have it"
KEPT = "_kept"
"""A session without values is not kept: what stands in one that was made with ``create()``."""
EXPIRY = "_session_expiry"
"""Where Django keeps what ``set_expiry()`` was given."""


class SessionStore(SessionBase):
    """``request.session``: the session of the layer around the application.

    In tests there is no layer around it, and sessions are kept in memory. Then, and only then, a session can
    be opened by its key.
    """

    def __init__(self, session_key: str | None = None, *, mapping: SessionMapping | None = None) -> None:
        self._mapping = mapping
        self._key = session_key
        self._test: TestSession | None = None
        super().__init__(session_key)

    @property
    def mapping(self) -> SessionMapping:
        """The session of the layer."""
        if self._mapping is not None:
            return self._mapping
        if self._test is None:
            if "django.test.client" not in sys.modules:
                raise ImproperlyConfigured(NO_REQUEST)
            from onionskin.django.testing import TestSession

            self._test = TestSession(self._key)
        return self._test.mapping

    def _get_session(self, no_load: bool = False) -> SessionMapping:
        """The values; the layer reads them when they are first used."""
        mapping = self.mapping
        self.accessed = True
        return mapping

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
        """Removes all values."""
        session = self._get_session()
        session.clear()
        session.set_lifetime(None)
        self.modified = True

    def create(self) -> None:
        """Begins another session, which is kept even without values."""
        self.flush()
        self._get_session()[KEPT] = True

    def flush(self) -> None:
        """Ends the session, and goes on with an empty one."""
        self._get_session().invalidate()
        self.modified = True
        if self._test is not None:
            self._test.save()

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
        if self._test is not None:
            self._test.save()

    def save_in_test(self, response: Any) -> None:
        """Saves a session that has no layer, as in tests, and adds its cookie to the response."""
        if self._test is not None:
            self._test.save_with(response)

    def exists(self, session_key: str) -> bool:
        """Whether this is the session of the request; no others can be looked for."""
        return bool(session_key == self.session_key)

    def delete(self, session_key: str | None = None) -> None:
        """Ends the session of the request; no others can be ended by their names."""
        if session_key in (None, self.session_key):
            self.flush()

    def set_expiry(self, value: Any) -> None:
        """Chooses how long this session lasts, as Django's own sessions do.

        Args:
            value: A number of seconds after the last use; 0, which ends the session with the browser; a
                ``datetime`` or a ``timedelta`` from now on, which the use of the session does not prolong;
                or None for the layer's own ``idle``, ``absolute`` and ``persistent``.
        """
        super().set_expiry(value)
        session, chosen = self._get_session(), self.get(EXPIRY)
        if chosen is None:
            session.set_lifetime(None)
        elif isinstance(chosen, str):
            session.set_lifetime(datetime.datetime.fromisoformat(chosen))
        elif chosen == 0:
            session.set_lifetime(None, persistent=False)
        elif chosen < 0:
            session.set_lifetime(datetime.datetime.fromtimestamp(0, datetime.timezone.utc))
        else:
            session.set_lifetime(chosen)

    async def aset_expiry(self, value: Any) -> None:
        """See ``set_expiry``."""
        self.set_expiry(value)

    def get_session_cookie_age(self) -> int:
        """In how many seconds a session expires that has no expiry of its own."""
        return self._get_session().max_age

    def get_expire_at_browser_close(self) -> bool:
        """Whether the session ends with the browser."""
        return not self._get_session().persistent

    async def aget_expire_at_browser_close(self) -> bool:
        """See ``get_expire_at_browser_close``."""
        return self.get_expire_at_browser_close()

    @classmethod
    def clear_expired(cls) -> None:
        """Nothing to do: stores forget expired sessions on their own."""
