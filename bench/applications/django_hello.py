"""The smallest Django application: one view, no database, and the one middleware that adds Content-Length."""

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    LOGGING_CONFIG=None,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="bench",
)
django.setup(set_prefix=False)

urlpatterns = [path("", lambda request: HttpResponse("Hello, World!", content_type="text/plain"))]
app = get_wsgi_application()
