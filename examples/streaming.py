"""Server-sent events: each block leaves for the client as soon as it is there.

onionskin serve examples/streaming.py, then: curl -N http://127.0.0.1:8000/

An open stream takes one of the server's threads for as long as it lasts: see docs/how-to/threads.md.
"""

import time
from collections.abc import Iterator


class Countdown:
    """Three events, one every tenth of a second."""

    def __iter__(self) -> Iterator[bytes]:
        for number in (3, 2, 1):
            yield f"data: {number}\n\n".encode()
            time.sleep(0.1)
        yield b"event: end\ndata: lift-off\n\n"

    def close(self) -> None:
        """Called once, at the end or when the client goes away: the place to give back what was taken."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
    return Countdown()
