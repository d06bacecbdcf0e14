"""Five ordinary Python middlewares around `hello`: timing, request id, headers, addresses, prefixes."""

import itertools
import time

from apps import hello
from guarded import ALLOWED, AddressGuard


class Timing:
    """Adds up the time spent below."""

    def __init__(self, app):
        self.app = app
        self.total = 0.0
        self.count = 0

    def __call__(self, environ, start_response):
        started = time.perf_counter()
        try:
            return self.app(environ, start_response)
        finally:
            self.total += time.perf_counter() - started
            self.count += 1


class RequestId:
    """Gives the request an id, unless it has one, and repeats it in the response."""

    def __init__(self, app):
        self.app = app
        self.counter = itertools.count(1)

    def __call__(self, environ, start_response):
        request_id = environ.get("HTTP_X_REQUEST_ID") or f"{next(self.counter):016x}"
        environ["request_id"] = request_id

        def with_id(status, headers, exc_info=None):
            return start_response(status, [*headers, ("X-Request-ID", request_id)], exc_info)

        return self.app(environ, with_id)


class AddHeaders:
    """Adds the same headers to every response."""

    def __init__(self, app, headers):
        self.app = app
        self.headers = list(headers)

    def __call__(self, environ, start_response):
        def with_headers(status, headers, exc_info=None):
            return start_response(status, list(headers) + self.headers, exc_info)

        return self.app(environ, with_headers)


class TolerantGuard(AddressGuard):
    """Also reads the `address:port` that fastwsgi and fastpysgi put into REMOTE_ADDR.

    A server that gets REMOTE_ADDR right never reaches the second test.
    """

    def allows(self, address):
        return address in self.addresses or address.partition(":")[0] in self.addresses


class PrefixDispatcher:
    """The application of the longest prefix that fits; SCRIPT_NAME and PATH_INFO move along."""

    def __init__(self, app, mounts):
        self.app = app
        self.mounts = dict(mounts)

    def __call__(self, environ, start_response):
        script, rest = environ.get("PATH_INFO", ""), ""
        while "/" in script and script not in self.mounts:
            script, last = script.rsplit("/", 1)
            rest = f"/{last}{rest}"
        app = self.mounts.get(script, self.app)
        environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + script
        environ["PATH_INFO"] = rest
        return app(environ, start_response)


def not_found(environ, start_response):
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", "9")])
    return [b"not found"]


# uWSGI's --http11-socket reports 0.0.0.0 from a connection's second request on.
OURS = [*ALLOWED[:-1], "127.0.0.1", "0.0.0.0"]
SECURITY = [("X-Frame-Options", "DENY"), ("X-Content-Type-Options", "nosniff")]

app = PrefixDispatcher(not_found, {"/api": hello, "/admin": hello})
app = TolerantGuard(app, OURS)
app = AddHeaders(app, SECURITY)
app = RequestId(app)
app = Timing(app)
