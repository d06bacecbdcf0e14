"""A counter in a cookie session: by our layer, by Flask's own without the rest of Flask, by Beaker."""

from http.cookies import SimpleCookie

from beaker.middleware import SessionMiddleware
from flask import Flask
from flask.sessions import SecureCookieSessionInterface

from onionskin import Session

SECRET = "for-benchmarks-only: kP2vN8xQ4mT7wR1zL5cB9hF3jD6gS0yA"


def counter(key):
    """An application that counts in the session under this key of environ."""

    def count(environ, start_response):
        session = environ[key]
        session["user"] = "ada"
        session["count"] = session.get("count", 0) + 1
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
        return [b"Hello, World!"]

    return count


class FlaskSession:
    """Flask's signed cookie around a plain application: the least that it takes."""

    def __init__(self, app):
        flask = Flask("bench")
        flask.secret_key = SECRET
        self.app = app
        self.serializer = SecureCookieSessionInterface().get_signing_serializer(flask)

    def __call__(self, environ, start_response):
        cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get("session")
        session = environ["flask.session"] = self.serializer.loads(cookie.value) if cookie else {}
        before = dict(session)

        def start(status, headers, exc_info=None):
            if session != before:
                cookie = f"session={self.serializer.dumps(session)}; Path=/; Secure; HttpOnly; SameSite=Lax"
                headers = [*headers, ("Vary", "Cookie"), ("Set-Cookie", cookie)]
            return start_response(status, headers, exc_info)

        return self.app(environ, start)


ours = Session(counter("onionskin.session"), secret=SECRET)
flask = FlaskSession(counter("flask.session"))
beaker = SessionMiddleware(
    counter("beaker.session"),
    {
        "session.type": "cookie",
        "session.auto": True,
        "session.data_serializer": "json",
        "session.encrypt_key": SECRET,
        "session.validate_key": SECRET,
        "session.crypto_type": "cryptography",
    },
)
