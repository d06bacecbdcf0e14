"""Django's sessions, kept by the layer ``Session``.

    SESSION_ENGINE = "onionskin.django.sessions"
    MIDDLEWARE = ["onionskin.django.SessionMiddleware", ...]  # in the place of Django's own

    application = onionskin.Session(get_wsgi_application(), secret=[...])

``request.session`` is then the session of the layer; ``django.contrib.auth`` rotates and ends it.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.core.exceptions import ImproperlyConfigured

from onionskin.django.sessions import SessionStore
from onionskin.django.testing import in_tests

__all__ = ["SessionMiddleware", "SessionStore"]

NO_LAYER = (
    "there is no Session layer around the application; "
    "expected application = Session(application, secret=...)"
)


class SessionMiddleware(DjangoSessionMiddleware):
    """Gives requests the session of the layer.

    In tests, where there is no layer around the application, sessions are kept in memory. With another
    ``SESSION_ENGINE`` it is Django's own middleware.
    """

    def process_request(self, request: Any) -> None:
        """Makes ``request.session``."""
        if self.SessionStore is not SessionStore:
            super().process_request(request)
            return
        mapping = request.META.get("onionskin.session")
        if mapping is not None:
            request.session = SessionStore(mapping=mapping)
        elif in_tests(request):
            request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
        else:
            raise ImproperlyConfigured(NO_LAYER)

    def process_response(self, request: Any, response: Any) -> Any:
        """Leaves the cookie and its headers to the layer."""
        if self.SessionStore is not SessionStore:
            return super().process_response(request, response)
        session = getattr(request, "session", None)
        if isinstance(session, SessionStore):
            session.save_in_test(response)
        return response
