"""Sessions for Django's test client, which calls an application without the layer around it.

Nothing in here has to be called: ``SessionStore`` and ``SessionMiddleware`` use it in tests.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from django.conf import settings

from onionskin._session_testing import MemorySessions, mapping_of

if TYPE_CHECKING:
    from onionskin._core import SessionMapping

__all__ = ["TestSession", "in_tests"]


def in_tests(request: Any) -> bool:
    """Whether a request comes from Django's test client, or Django's test environment is set up."""
    utilities = sys.modules.get("django.test.utils")
    state = getattr(utilities, "_TestState", None)
    return hasattr(request, "_dont_enforce_csrf_checks") or hasattr(state, "saved_data")


@cache
def sessions(name: str) -> MemorySessions:
    """All sessions of this process, for a cookie of this name."""
    return MemorySessions(name)


class TestSession:
    """A session that is kept in memory, under the key that Django's test client has in its cookie."""

    __test__ = False  # pytest collects classes by such names

    def __init__(self, key: str | None) -> None:
        self.came = key
        self.key = key
        self.sessions = sessions(settings.SESSION_COOKIE_NAME)
        self.transaction = self.sessions.open(key)

    @property
    def mapping(self) -> SessionMapping:
        """The session."""
        return mapping_of(self.transaction)

    def save(self) -> None:
        """Saves what was changed, and opens the session again."""
        self.key, _ = self.sessions.save(self.transaction)
        self.transaction = self.sessions.open(self.key)

    def save_with(self, response: Any) -> None:
        """Saves the session as the layer would, with a cookie for the test client."""
        max_age = self.mapping.max_age if self.mapping.persistent else None
        self.key, headers = self.sessions.save(self.transaction, response.status_code, response.items())
        self.transaction = self.sessions.open(self.key)
        for name, value in headers:
            if name != "set-cookie":
                response[name] = value
        is_set = any(name == "set-cookie" for name, _ in headers)
        name = settings.SESSION_COOKIE_NAME
        if self.key is None and self.came is not None:
            response.delete_cookie(name)
        elif self.key is not None and (is_set or self.key != self.came):
            response.set_cookie(name, self.key, max_age=max_age, httponly=True)
