"""Reads a request body piece by piece, whatever its size and framing, and tells what it was.

onionskin serve examples/upload.py, then: curl -T some.file http://127.0.0.1:8000/
"""

from hashlib import sha256


def application(environ, start_response):
    # The body has arrived by now, large ones in a temporary file; its end is the end of wsgi.input.
    digest, size = sha256(), 0
    while block := environ["wsgi.input"].read(64 * 1024):
        digest.update(block)
        size += len(block)
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{size} bytes, SHA-256 {digest.hexdigest()}\n".encode()]
