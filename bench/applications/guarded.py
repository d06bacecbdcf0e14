"""The address check as a Python class, the way it is commonly written."""

from apps import hello

ALLOWED = [f"10.0.0.{last}" for last in range(1, 11)]


class AddressGuard:
    """Passes on the requests of the listed addresses; answers all others with 403."""

    def __init__(self, app, addresses):
        self.app = app
        self.addresses = list(addresses)

    def __call__(self, environ, start_response):
        if self.allows(environ["REMOTE_ADDR"]):
            return self.app(environ, start_response)
        body = b"403 Forbidden"
        start_response("403 Forbidden", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    def allows(self, address):
        return address in self.addresses


deny = AddressGuard(hello, ALLOWED)
