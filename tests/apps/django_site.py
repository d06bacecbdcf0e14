"""A Django site in our layers: admin, forms, uploads, static files. Its data is in DJANGO_DIRECTORY."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings

from onionskin import AllowAddresses, Onion, RequestId
from support.gate import wait_at

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(os.environ["DJANGO_DIRECTORY"])

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "example.org"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA / "data.sqlite"}},
    DEBUG=True,
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "django.contrib.staticfiles",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
    STATIC_URL="/static/",
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    USE_TZ=True,
)
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.staticfiles.handlers import StaticFilesHandler  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse  # noqa: E402
from django.middleware.csrf import get_token  # noqa: E402
from django.urls import path  # noqa: E402


def hello(request: Any) -> HttpResponse:
    return HttpResponse(f"Hello, {request.GET.get('name', 'neighbour')}!")


def request_id(request: Any) -> JsonResponse:
    return JsonResponse({"id": request.META["onionskin.request_id"], "path": request.get_full_path()})


def form(request: Any) -> HttpResponse:
    if request.method == "POST":
        return JsonResponse(dict(request.POST.items()))
    return HttpResponse(get_token(request))


def upload(request: Any) -> JsonResponse:
    sent = request.FILES["file"]
    return JsonResponse({"name": sent.name, "size": sent.size, "sum": sum(sent.read())})


def stream(request: Any) -> StreamingHttpResponse:
    gate = int(request.GET["gate"])

    def blocks() -> Iterator[str]:
        yield "first|"
        yield "second" if wait_at(gate) else "nobody came"

    return StreamingHttpResponse(blocks(), content_type="text/plain")


def file(request: Any) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"), content_type="text/plain")


def fault(request: Any) -> HttpResponse:
    raise RuntimeError("in the view")


urlpatterns = [
    path("", hello),
    path("admin/", admin.site.urls),
    path("fault", fault),
    path("file", file),
    path("form", form),
    path("id/<str:rest>", lambda request, rest: request_id(request)),
    path("stream", stream),
    path("upload", upload),
]

site = StaticFilesHandler(WSGIHandler())
application = Onion(RequestId(), AllowAddresses(allowed_addresses=["127.0.0.1"]))(site)


def prepare() -> None:
    """Makes the database, with one who may log in."""
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    User.objects.create_superuser("ada", "ada@example.org", "lovelace")
