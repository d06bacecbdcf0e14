"""Tests as a Django project has them, run by Django's own runner: without the layer around the application.

python -m apps.django_tests
"""

from __future__ import annotations

import datetime
import sys
from importlib import import_module
from typing import Any

import apps.django_sessions  # noqa: F401  (it configures Django)

# isort: split
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.test import Client, LiveServerTestCase, RequestFactory, TestCase
from django.test.runner import DiscoverRunner

from onionskin.django import SessionMiddleware, SessionStore

COOKIE = settings.SESSION_COOKIE_NAME


class Sessions(TestCase):
    """The test client's session."""

    def test_a_session_lasts_from_request_to_request(self) -> None:
        self.assertEqual(self.client.get("/cart", {"item": "a"}).json()["cart"], ["a"])
        self.assertEqual(self.client.get("/cart", {"item": "b"}).json()["cart"], ["a", "b"])
        self.assertEqual(Client().get("/cart", {"item": "c"}).json()["cart"], ["c"])

    def test_client_session_shows_what_a_view_has_kept(self) -> None:
        key = self.client.get("/cart", {"item": "a"}).json()["key"]
        self.assertEqual(self.client.session["cart"], ["a"])
        self.assertEqual(self.client.session.session_key, key)

    def test_client_session_prepares_a_session(self) -> None:
        session = self.client.session
        session["cart"] = ["prepared"]
        session.save()
        self.assertEqual(self.client.get("/cart", {"item": "b"}).json()["cart"], ["prepared", "b"])
        session = self.client.session
        session["cart"].append("deep")
        session.save()
        cart = self.client.get("/cart", {"item": "c"}).json()["cart"]
        self.assertEqual(cart, ["prepared", "b", "deep", "c"])

    def test_what_is_not_saved_is_not_kept(self) -> None:
        self.client.session["cart"] = ["lost"]
        self.assertEqual(self.client.get("/cart", {"item": "a"}).json()["cart"], ["a"])

    def test_an_untouched_session_leaves_the_response_alone(self) -> None:
        response = self.client.get("/untouched")
        self.assertFalse({"Vary", "Cache-Control"} & set(response.headers))
        self.assertNotIn(COOKIE, response.cookies)

    def test_values_are_kept_as_json_as_they_are_in_earnest(self) -> None:
        self.client.get("/values", {"set": "1"})
        self.assertEqual(self.client.session["tuple"], [1, [2, 3]])

    def test_an_expiry_is_seen_in_the_cookie(self) -> None:
        response = self.client.get("/expiry", {"set": "seconds"})
        self.assertEqual(response.cookies[COOKIE]["max-age"], 300)
        self.assertEqual(self.client.session.get_expiry_age(), 300)
        self.assertEqual(self.client.get("/expiry", {"set": "closed"}).cookies[COOKIE]["max-age"], "")
        self.client.get("/expiry", {"set": "past"})
        self.assertNotIn("user", self.client.session)

    def test_an_expiry_can_be_prepared(self) -> None:
        session = self.client.session
        session["user"] = "ada"
        session.set_expiry(datetime.timedelta(days=30))
        session.save()
        self.assertGreater(self.client.get("/expiry").json()["age"], 2591000)

    def test_a_session_has_a_key_that_leads_to_it(self) -> None:
        session = SessionStore()
        session["a"] = 1
        session.save()
        again = import_module(settings.SESSION_ENGINE).SessionStore(session.session_key)
        self.assertEqual((again["a"], again.exists(session.session_key)), (1, True))
        again.delete(session.session_key)
        self.assertTrue(SessionStore(session.session_key).is_empty())


class LogIn(TestCase):
    """Logging in and out."""

    def setUp(self) -> None:
        self.user = User.objects.create_superuser("bob", "bob@example.org", "builder")

    def test_login(self) -> None:
        self.assertFalse(self.client.login(username="bob", password="wrong"))
        self.assertEqual(self.client.get("/admin/").status_code, 302)
        self.assertTrue(self.client.login(username="bob", password="builder"))
        self.assertContains(self.client.get("/admin/"), "Site administration")

    def test_force_login_keeps_what_was_there(self) -> None:
        self.client.get("/cart", {"item": "a"})
        self.client.force_login(self.user)
        self.assertContains(self.client.get("/admin/"), "Site administration")
        self.assertEqual(self.client.session["cart"], ["a"])
        self.assertEqual(self.client.session["_auth_user_id"], str(self.user.pk))

    def test_logout_ends_the_session(self) -> None:
        self.client.force_login(self.user)
        key = self.client.session.session_key
        self.client.logout()
        self.assertEqual(self.client.get("/admin/").status_code, 302)
        self.assertTrue(SessionStore(key).is_empty())

    def test_a_view_logs_in_and_out(self) -> None:
        self.client.get("/cart", {"item": "a"})
        before = self.client.cookies[COOKIE].value
        form = {"username": "bob", "password": "builder"}
        response = self.client.post("/admin/login/?next=/admin/", form, follow=True)
        self.assertContains(response, "Site administration")
        self.assertNotEqual(self.client.cookies[COOKIE].value, before)
        self.client.post("/admin/logout/")
        self.assertEqual(self.client.get("/admin/").status_code, 302)
        self.assertTrue(SessionStore(before).is_empty())


class Asynchronous(TestCase):
    """Django's asynchronous test client."""

    async def test_a_session_is_prepared_used_and_ended(self) -> None:
        session = await self.async_client.asession()
        session["cart"] = ["prepared"]
        await session.asave()
        response = await self.async_client.get("/cart", {"item": "b"})
        self.assertEqual(response.json()["cart"], ["prepared", "b"])

        user = await User.objects.acreate(username="eve", is_staff=True, is_superuser=True)
        await self.async_client.aforce_login(user)
        self.assertEqual((await self.async_client.get("/admin/")).status_code, 200)
        session = await self.async_client.asession()
        await session.aset_expiry(300)
        self.assertEqual(
            (await session.aget_expiry_age(), await session.aget("cart")), (300, ["prepared", "b"])
        )
        await self.async_client.alogout()
        self.assertEqual((await self.async_client.get("/admin/")).status_code, 302)


class Requests(TestCase):
    """A request without a client."""

    def test_a_request_from_a_factory_gets_a_session(self) -> None:
        request: Any = RequestFactory().get("/")
        SessionMiddleware(lambda request: HttpResponse()).process_request(request)
        request.session["a"] = 1
        request.session.save()
        self.assertEqual(SessionStore(request.session.session_key)["a"], 1)


class Live(LiveServerTestCase):
    """A server that Django starts itself has no layer, either."""

    def test_a_live_server_shares_its_sessions_with_the_client(self) -> None:
        import urllib.request

        self.client.get("/cart", {"item": "a"})
        cookie = f"{COOKIE}={self.client.cookies[COOKIE].value}"
        request = urllib.request.Request(f"{self.live_server_url}/cart?item=b", headers={"Cookie": cookie})
        with urllib.request.urlopen(request, timeout=10) as response:
            self.assertIn(b'["a", "b"]', response.read())


def served_without_a_layer() -> None:
    """Outside of tests a request without the layer is an error still."""
    try:
        SessionMiddleware(lambda request: HttpResponse()).process_request(HttpRequest())
    except ImproperlyConfigured:
        return
    raise AssertionError("a request had a session without the layer")


if __name__ == "__main__":
    served_without_a_layer()
    sys.exit(bool(DiscoverRunner().run_tests(["apps.django_tests"])))
