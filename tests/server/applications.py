"""The applications that the tests serve: one for each path. What they observe they tell on `wsgi.errors`."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs

BLOCK = b"x" * 65536
LONGEST_WAIT = 20.0


def application(environ, start_response):
    """Calls the function that the path's first segment names."""
    name = environ["PATH_INFO"].strip("/").partition("/")[0]
    query = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    served = SERVED.get(name, hello)
    return served(environ, start_response, **query)


def tell(environ, event):
    """Tells the test that something has happened: a line in the server's log."""
    environ["wsgi.errors"].write(f"event: {event}\n")
    environ["wsgi.errors"].flush()


def answer(start_response, body, status="200 OK"):
    """A whole answer."""
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


class Blocks:
    """An iterable that tells of its end."""

    def __init__(self, environ, blocks, name=""):
        self.environ, self.blocks, self.name = environ, iter(blocks), name

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.blocks)

    def close(self):
        tell(self.environ, f"closed {self.name} on {threading.get_ident()}")


def hello(environ, start_response):
    return answer(start_response, b"hello")


def environ_as_json(environ, start_response, **_):
    table = {key: [type(value).__name__, repr(value)] for key, value in environ.items()}
    texts = {key: value for key, value in environ.items() if isinstance(value, str)}
    methods = [name for name in ("read", "readline", "readlines") if hasattr(environ["wsgi.input"], name)]
    facts = {"exact": type(environ) is dict, "table": table, "texts": texts, "input": methods}
    return answer(start_response, json.dumps(facts).encode())


def echo(environ, start_response, told=""):
    if told:
        tell(environ, f"called {told}")
    body = environ["wsgi.input"].read()
    length = environ.get("CONTENT_LENGTH", "none")
    digest = hashlib.sha256(body).hexdigest()
    return answer(start_response, f"{len(body)} {length} {digest}".encode())


def unread(environ, start_response):
    return answer(start_response, b"not read")


def hold(environ, start_response, file, name=""):
    """A call that lasts until the test has made `file`."""
    tell(environ, f"holding {name}")
    wait_for(file)
    return answer(start_response, b"held")


def complain(environ, start_response, text="a complaint", rest=""):
    """Says something in the error log; `rest` without ending its line."""
    print(text, file=environ["wsgi.errors"])
    environ["wsgi.errors"].writelines([rest] if rest else [])
    return answer(start_response, environ.get("HTTP_TRACEPARENT", "complained").encode())


def complain_in_circles(environ, start_response):
    """The old way to have `print` and warnings in the log of the server."""
    sys.stderr = environ["wsgi.errors"]
    try:
        print("a round complaint", file=sys.stderr, flush=True)
        return answer(start_response, str(sys.stderr.encoding).encode())
    finally:
        sys.stderr = sys.__stderr__


def grip(environ, start_response, count):
    """Holds the interpreter in C: no other thread of Python runs meanwhile."""
    tell(environ, "gripping")
    return answer(start_response, str(sum(range(int(count)))).encode())


def spin(environ, start_response, name=""):
    """Keeps Python busy until it is told to stop."""

    # A function of its own: what is raised from elsewhere just as a loop begins anew is not caught by a `try`
    # around that loop in CPython 3.13, which does not count the jump to it.
    def loop():
        due = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < due:
            pass

    try:
        loop()
    except BaseException as error:
        tell(environ, f"{type(error).__name__} {name}")
        raise
    return answer(start_response, b"spun")


def drip(environ, start_response):
    """Blocks, with Python at work between them."""
    start_response("200 OK", [("Content-Type", "text/plain")])

    def drops():
        due = time.monotonic() + LONGEST_WAIT
        while time.monotonic() < due:
            time.sleep(0.01)
            yield b"drop"

    return Blocks(environ, drops(), "drip")


def hold_on(environ, start_response, file):
    """A call that does not let itself be ended."""
    has_ended = False
    while not has_ended:
        # It comes once, and nowhere but in here.
        try:
            wait_for(file)
            has_ended = True
        except BaseException:
            continue
    tell(environ, "let go")
    return answer(start_response, b"held on")


def wait_for(file):
    """Waits until a file is there."""
    due = time.monotonic() + LONGEST_WAIT
    while not Path(file).exists() and time.monotonic() < due:
        time.sleep(0.002)


def sleep(environ, start_response, seconds, name=""):
    tell(environ, f"sleeping {name}")
    time.sleep(float(seconds))
    return answer(start_response, b"slept")


def busy(environ, start_response, seconds, name=""):
    """A call that executes Python all the time, and lets others."""
    tell(environ, f"busy {name}")
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        time.sleep(0.001)
    return answer(start_response, b"done")


def stepwise(environ, start_response, folder):
    """Yields a block, then waits for the test to make the file that allows the next one."""
    start_response("200 OK", [("Content-Type", "text/plain")])

    def steps():
        for number in range(3):
            wait_for(Path(folder) / str(number))
            yield f"block {number}".encode()

    return steps()


def written_stepwise(environ, start_response, folder):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    for number in range(3):
        wait_for(Path(folder) / str(number))
        write(f"block {number}".encode())
    return []


def written_endlessly(environ, start_response, name=""):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        while True:
            write(BLOCK)
    except OSError:
        tell(environ, f"stopped {name}")
        raise


def endless(environ, start_response, name="", wait=""):
    """Blocks without end."""
    start_response("200 OK", [("Content-Type", "text/plain")])

    def blocks():
        if wait:
            tell(environ, f"waiting {name}")
            wait_for(wait)
        while True:
            yield BLOCK

    return Blocks(environ, blocks(), name)


def large(environ, start_response, blocks="64", name=""):
    """A generator that notes its thread before each block."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    tell(environ, f"called {name} on {threading.get_ident()}")

    def produced():
        for _ in range(int(blocks)):
            tell(environ, f"block {name} on {threading.get_ident()}")
            yield BLOCK

    return Blocks(environ, produced(), name)


def large_then_waits(environ, start_response, file, blocks="64"):
    """Much at once, then nothing until the test has made `file`."""
    start_response("200 OK", [("Content-Type", "text/plain")])

    def produced():
        for _ in range(int(blocks)):
            yield BLOCK
        tell(environ, "waiting")
        wait_for(file)
        yield b"last"

    return produced()


def large_then_raises(environ, start_response, blocks="64"):
    """Much at once, then an error."""
    start_response("200 OK", [("Content-Type", "text/plain")])

    def produced():
        for _ in range(int(blocks)):
            yield BLOCK
        raise ValueError("in the middle")

    return produced()


def quick_list(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"one", b"two", b"three"]


def quick_generator(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (block for block in (b"one", b"two", b"three"))


def quick_write(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"one")
    write(b"two")
    return [b"three"]


def file(environ, start_response, path, offset="0", length="", name=""):
    start_response("200 OK", [("Content-Length", length)] if length else [])
    opened = Path(path).open("rb")  # noqa: SIM115 (the wrapper closes it)
    opened.seek(int(offset))
    close = opened.close

    def closing():
        close()
        tell(environ, f"closed {name}")

    opened.close = closing
    return environ["wsgi.file_wrapper"](opened, 8192)


def underrun(environ, start_response, how="list"):
    start_response("200 OK", [("Content-Length", "10")])
    return [b"short"] if how == "list" else (block for block in (b"sho", b"rt"))


def overrun(environ, start_response, how="list"):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"12345678"] if how == "list" else (block for block in (b"123", b"456", b"78"))


def breaks_off(environ, start_response, length="", after="1"):
    """Raises in the middle of its response."""
    start_response("200 OK", [("Content-Length", length)] if length else [])

    def blocks():
        for _ in range(int(after)):
            yield b"a block"
        raise ValueError("in the middle")

    return Blocks(environ, blocks(), "broken")


def raises(environ, start_response):
    raise ValueError("at once")


def status(environ, start_response, code="204", body=""):
    start_response(f"{code} Whatever", [("X-Kept", "yes")])
    return [body.encode()] if body else []


def header(environ, start_response, name="X-Sent", value="ok", status="200 OK"):
    # The server refuses a NUL in the query, so it is written out here.
    status, name, value = (text.replace("NUL", "\0") for text in (status, name, value))
    start_response(status, [(name, value)])
    return [b"body"]


def late_head(environ, start_response):
    """Replaces its head after an error, as long as nothing was sent."""
    start_response("200 OK", [("X-First", "1")])

    def blocks():
        yield b""
        try:
            raise ValueError("before the first byte")
        except ValueError:
            start_response("503 Sorry", [("X-Second", "2")], sys.exc_info())
        yield b"sorry"

    return blocks()


def reads(environ, start_response, size="-1", name=""):
    """Reads the body, and tells what came of it."""
    tell(environ, f"reading {name}")
    try:
        body = environ["wsgi.input"].read(int(size))
    except OSError as error:
        tell(environ, f"raised {type(error).__name__} {name}")
        raise
    tell(environ, f"read {len(body)} {name}")
    return answer(start_response, body)


def two_lengths(environ, start_response, **_):
    """A head that cannot be sent."""
    start_response("200 OK", [("Content-Length", "4"), ("Content-Length", "5")])
    return [b"four"]


def varies(environ, start_response):
    """Two lines of one list."""
    start_response("200 OK", [("Vary", "Accept"), ("Vary", "Cookie"), ("Content-Length", "0")])
    return []


HOARD: list = []


def hoard(environ, start_response):
    """Takes every descriptor that the process may have."""
    try:
        while True:
            HOARD.append(Path(os.devnull).open())  # noqa: SIM115 (kept)
    except OSError:
        return answer(start_response, str(len(HOARD)).encode())


def let_go(environ, start_response):
    """Gives them back."""
    for opened in HOARD:
        opened.close()
    HOARD.clear()
    return answer(start_response, b"gone")


def process_id(environ, start_response):
    return answer(start_response, str(os.getpid()).encode())


SERVED = {
    name.__name__: name
    for name in (
        breaks_off,
        busy,
        complain,
        complain_in_circles,
        drip,
        echo,
        endless,
        environ_as_json,
        file,
        grip,
        header,
        hello,
        hoard,
        hold,
        hold_on,
        large,
        large_then_raises,
        large_then_waits,
        late_head,
        let_go,
        overrun,
        process_id,
        quick_generator,
        quick_list,
        quick_write,
        raises,
        reads,
        two_lengths,
        varies,
        sleep,
        spin,
        status,
        stepwise,
        underrun,
        unread,
        written_endlessly,
        written_stepwise,
    )
}
