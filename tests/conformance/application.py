"""Shows each request that it serves, and remembers it until it is asked for at `/served`."""

from __future__ import annotations

import threading

served: list[str] = []
lock = threading.Lock()


def application(environ, start_response):
    """Answers with environ's texts and the body."""
    request = f"{environ['REQUEST_METHOD']} {environ['RAW_URI']}"
    with lock:
        if environ["PATH_INFO"] == "/served":
            shown = "\n".join(served)
            served.clear()
        else:
            served.append(request)
            texts = sorted(f"{key}={value}" for key, value in environ.items() if isinstance(value, str))
            body = environ["wsgi.input"].read().decode("latin-1")
            shown = "\n".join([*texts, f"body={body!r}"])
    start_response("200 OK", [("Content-Type", "text/plain; charset=latin-1")])
    return [shown.encode("latin-1")]
