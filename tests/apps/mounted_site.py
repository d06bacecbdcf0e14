"""A Flask site and a Django site side by side, as one application."""

from __future__ import annotations

from typing import Any

from django.http import JsonResponse
from django.shortcuts import redirect as django_redirect
from django.urls import path, reverse
from flask import Flask, redirect, request, url_for

from apps import django_site
from onionskin import Mount

app = Flask(__name__)


@app.get("/page/<name>")
def page(name: str) -> dict[str, Any]:
    own = url_for("page", name=name)
    return {"own": own, "whole": url_for("page", name=name, _external=True), "root": request.script_root}


@app.get("/elsewhere")
def elsewhere() -> Any:
    return redirect(url_for("page", name="b"))


def django_page(request: Any, name: str) -> JsonResponse:
    own = reverse("page", kwargs={"name": name})
    return JsonResponse(
        {"own": own, "whole": request.build_absolute_uri(), "root": request.META["SCRIPT_NAME"]}
    )


urls = [
    path("page/<str:name>", django_page, name="page"),
    path("elsewhere", lambda request: django_redirect("page", name="b")),
]
django_site.urlpatterns += urls

application = Mount({"/flask": app, "/deep/django": django_site.application})
