"""What is served to the tests of Compress: texts, streams that wait for the test, faults."""

from __future__ import annotations

import json
import tempfile
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import flask

from onionskin import Compress, Headers
from support.gate import wait_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HTML = ("Content-Type", "text/html; charset=utf-8")
PAGE = "".join(f"<li>{number}: {number**7}</li>\n" for number in range(1000)).encode()
BIG = PAGE * 300
EVENTS = [f"data: {number}\n\n".encode() for number in range(12)]
BURST = 4


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The path names the page."""
    return PAGES[environ["PATH_INFO"]](environ, start_response)


def page(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [HTML, ("ETag", '"page-1"'), ("Accept-Ranges", "bytes")])
    return [PAGE]


def parts(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [HTML, ("Content-Length", str(len(PAGE)))])
    return [PAGE[:100], PAGE[100:7000], b"", PAGE[7000:]]


def small(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [HTML])
    return [b"short, ", b"and so as it is"]


def big(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [HTML])
    return [BIG]


def big_blocks(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [HTML])
    for start in range(0, len(BIG), 500_000):
        yield BIG[start : start + 500_000]


def file(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [HTML])
    opened = tempfile.TemporaryFile()  # noqa: SIM115
    opened.write(PAGE)
    opened.seek(0)
    return environ["wsgi.file_wrapper"](opened)


def picture(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "image/png"), ("Content-Length", str(len(PAGE)))])
    return [PAGE]


def partial(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("206 Partial Content", [HTML, ("Content-Range", f"bytes 0-999/{len(PAGE)}")])
    return [PAGE[:1000]]


def exempt(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [HTML, ("Cache-Control", "no-cache, no-transform")])
    return [PAGE]


def tagged(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """An application that compares entity tags as texts."""
    if environ.get("HTTP_IF_NONE_MATCH") == '"tag-1"':
        start_response("304 Not Modified", [("ETag", '"tag-1"')])
        return []
    start_response("200 OK", [HTML, ("ETag", '"tag-1"')])
    return [PAGE]


def events(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Bursts of events; between them it waits until the test has seen the last."""
    start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache")])
    gate = int(dict(parse_qsl(environ["QUERY_STRING"]))["gate"])
    for number, event in enumerate(EVENTS):
        if number and number % BURST == 0 and not wait_at(gate):
            return
        yield event


def times(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Each event tells when it was yielded, by the clock that all processes share."""
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    gate = int(dict(parse_qsl(environ["QUERY_STRING"]))["gate"])
    for _ in range(20):
        yield f"data: {time.monotonic()}\n\n".encode()
        if not wait_at(gate):
            return


def reader(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """A page that shows the events as they come, and the length of the big page."""
    start_response("200 OK", [HTML])
    gate = dict(parse_qsl(environ["QUERY_STRING"]))["gate"]
    script = f"""
        const source = new EventSource("/events?gate={int(gate)}");
        source.onmessage = event => document.title += " " + event.data;
        source.onerror = () => source.close();
        fetch("/big_blocks").then(big => big.text()).then(text => document.body.dataset.length = text.length);
    """
    return [b"<!doctype html><body><script>", script.encode(), b"</script><p>", b"onion " * 500]


def broken(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [HTML])
    yield PAGE
    raise ValueError("on purpose")


def too_short(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [HTML, ("Content-Length", str(len(PAGE) + 1))])
    yield PAGE


def endless(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [HTML])
    while True:
        yield PAGE


PAGES: dict[str, Callable[[dict[str, Any], Any], Iterable[bytes]]] = {
    f"/{page.__name__}": page
    for page in (
        page,
        parts,
        small,
        big,
        big_blocks,
        file,
        picture,
        partial,
        exempt,
        tagged,
        events,
        times,
        reader,
        broken,
        too_short,
        endless,
    )
}

compressed = Compress(application)
# Over plain HTTP a browser asks for gzip alone; these make it take the others.
forced_br = Headers(compressed, request={"set": {"Accept-Encoding": "br"}})
forced_zstd = Headers(compressed, request={"set": {"Accept-Encoding": "zstd"}})
forced_gzip = Headers(compressed, request={"set": {"Accept-Encoding": "gzip"}})
preferring_gzip = Compress(application, encodings=["gzip", "br"])

site = flask.Flask(__name__)


@site.get("/stream")
def stream() -> flask.Response:
    """A stream as Flask's documentation has it."""
    rows = (f"{json.dumps({'row': number})}\n" for number in range(500))
    return flask.Response(rows, mimetype="application/x-ndjson")


@site.get("/whole")
def whole() -> str:
    return PAGE.decode()


flask_site = Compress(site.wsgi_app)
