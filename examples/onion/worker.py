"""One of the processes that requests are balanced over."""

import os


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    via = environ.get("HTTP_VIA", "nobody")
    return [f"Hello from process {os.getpid()}; your request came via {via}.\n".encode()]
