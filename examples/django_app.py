"""A Django project in one file, with layers around it.

onionskin serve examples/django_app.py
"""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from onionskin import AllowAddresses, Onion, RequestId

settings.configure(ALLOWED_HOSTS=["127.0.0.1", "localhost"], ROOT_URLCONF=__name__)


def index(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": "from Django", "request": request.META["onionskin.request_id"]})


urlpatterns = [path("", index)]

onion = Onion(RequestId(), AllowAddresses(allowed_addresses=["127.0.0.1", "::1"]))
application = onion(get_wsgi_application())
