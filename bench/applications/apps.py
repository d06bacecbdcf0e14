"""The plain applications: each is the least Python that gives its answer."""

import time

HELLO = b"Hello, World!"
TEN_KILOBYTES = b"x" * 10_240
CHUNK = b"y" * 1_024
CHUNKS = 100


def hello(environ, start_response):
    """13 bytes, with a length."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [HELLO]


def hello10k(environ, start_response):
    """10 KB in one piece."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10240")])
    return [TEN_KILOBYTES]


def echo(environ, start_response):
    """The request's body, read in one call."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    headers = [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]


def stream(environ, start_response):
    """100 chunks of 1 KB without a length: the server has to frame them."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (CHUNK for _ in range(CHUNKS))


def stream_length(environ, start_response):
    """The same chunks, with a length."""
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(CHUNKS * len(CHUNK)))]
    start_response("200 OK", headers)
    return (CHUNK for _ in range(CHUNKS))


def slow10(environ, start_response):
    """10 ms of waiting, as for a database, then `hello`."""
    time.sleep(0.010)
    return hello(environ, start_response)
