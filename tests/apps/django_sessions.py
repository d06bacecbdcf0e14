"""A Django site whose sessions are kept by Session. Its database is in DJANGO_DIRECTORY."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import django
from django.conf import settings

from onionskin import Session

DATA = Path(os.environ["DJANGO_DIRECTORY"])
MIDDLEWARE = [
    "onionskin.django.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
PROCESSORS = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "data.sqlite"}},
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
    ],
    MESSAGE_STORAGE="django.contrib.messages.storage.session.SessionStorage",
    MIDDLEWARE=MIDDLEWARE,
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
    SESSION_ENGINE="onionskin.django.sessions",
    STATIC_URL="/static/",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": PROCESSORS},
        }
    ],
    USE_TZ=True,
)
django.setup()

from django.contrib import admin  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.db.models import IntegerChoices  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402
from django.utils import timezone  # noqa: E402
from django.utils.safestring import mark_safe  # noqa: E402


class Suit(IntegerChoices):
    """Both an enumeration's member and an integer."""

    HEARTS = 3


def untouched(request: Any) -> HttpResponse:
    return HttpResponse("untouched")


def cart(request: Any) -> JsonResponse:
    request.session.setdefault("cart", []).append(request.GET["item"])
    return JsonResponse({"cart": request.session["cart"], "key": request.session.session_key})


def keys(request: Any) -> JsonResponse:
    before = request.session.session_key
    if "create" in request.GET:
        request.session.create()
    return JsonResponse({"before": before, "after": request.session.session_key})


def expiry(request: Any) -> JsonResponse:
    session = request.session
    session["user"] = "ada"
    expiries = {
        "seconds": 300,
        "closed": 0,
        "past": -1,
        "delta": datetime.timedelta(days=30),
        "moment": timezone.now() + datetime.timedelta(days=30),
        "layer": None,
    }
    if "set" in request.GET:
        session.set_expiry(expiries[request.GET["set"]])
    return JsonResponse({"age": session.get_expiry_age(), "closes": session.get_expire_at_browser_close()})


VALUES: dict[Any, Any] = {
    "tuple": (1, (2, 3)),
    "keys": {2: "a", True: "b", None: "c", 1.5: "d"},
    "floats": [float("inf"), 1.5],
    "text": "a\ud800\U0001f9c5",
    "lazy": mark_safe("<b>"),
    "enum": Suit.HEARTS,
    7: "an int key",
}


def values(request: Any) -> JsonResponse:
    if "set" in request.GET:
        request.session.update(VALUES)
    shown = {str(key): repr(value) for key, value in request.session.items()}
    return JsonResponse({"shown": shown})


urlpatterns = [
    path("admin/", admin.site.urls),
    path("cart", cart),
    path("expiry", expiry),
    path("keys", keys),
    path("untouched", untouched),
    path("values", values),
]

application = Session(
    WSGIHandler(),
    secret="for-tests-only: kP2vN8xQ4mT7wR1zL5cB9hF3jD6gS0yA",
    secure=False,
    store=f"sqlite:{DATA / 'sessions.sqlite'}",
)


def prepare() -> None:
    """Makes the database, with one who may log in."""
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("check")
    call_command("migrate", verbosity=0)
    User.objects.create_superuser("ada", "ada@example.org", "lovelace")
