"""Django's sessions, kept by the layer ``Session``.

    SESSION_ENGINE = "onionskin.django.sessions"
    MIDDLEWARE = ["onionskin.django.SessionMiddleware", ...]  # in the place of Django's own

    application = onionskin.Session(get_wsgi_application(), secret=[...])

``request.session`` is then the session of the layer; ``django.contrib.auth`` rotates and ends it.
"""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.middleware import SessionMiddleware as DjangoSessionMiddleware
from django.core.exceptions import ImproperlyConfigured

from onionskin.django.sessions import SessionStore

__all__ = ["SessionMiddleware", "SessionStore"]

NO_LAYER = "there is no Session around the application; write application = Session(application, secret=...)"


class SessionMiddleware(DjangoSessionMiddleware):
    """Gives requests the session of the layer.

    With another ``SESSION_ENGINE``, as for tests by Django's own client, it is Django's own middleware.
    """

    def process_request(self, request: Any) -> None:
        """Makes ``request.session``."""
        if self.SessionStore is not SessionStore:
            super().process_request(request)
            return
        mapping = request.META.get("onionskin.session")
        if mapping is None:
            raise ImproperlyConfigured(NO_LAYER)
        request.session = SessionStore(mapping=mapping)

    def process_response(self, request: Any, response: Any) -> Any:
        """Leaves the cookie and its headers to the layer."""
        return response if self.SessionStore is SessionStore else super().process_response(request, response)
