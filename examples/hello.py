"""The smallest application there is.

onionskin serve examples/hello.py
"""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"Hello, neighbour!\n"]
