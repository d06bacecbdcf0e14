"""`wsgi.input` and `wsgi.errors` as io streams, files behind other objects, and late `write()` calls."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
import threading
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from onionskin.layers import RequestId
from onionskin.simple_server import make_server
from support.wsgi import make_environ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

CALLS = 103
"""After a hundred calls without write() the server calls an application in another way."""
TEXT = [("Content-Type", "text/plain")]


def natively(application: Any, calls: int = 1, data: bytes | None = None) -> bytes:
    """The body of the last of several responses."""
    body = b""
    with make_server("127.0.0.1", 0, application) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            for _ in range(calls):
                with urlopen(f"http://127.0.0.1:{server.server_port}/", data, timeout=10) as response:
                    body = response.read()
        finally:
            server.shutdown()
            thread.join()
    return body


def outwardly(application: Any) -> bytes:
    """The body as a server sends it that sends written data at once."""
    sent: list[bytes] = []
    iterable = application(make_environ("/"), lambda status, headers, exc_info=None: sent.append)
    sent.extend(iterable)
    if hasattr(iterable, "close"):
        iterable.close()
    return b"".join(sent)


def answering(make: Callable[[dict[str, Any]], Iterable[bytes]]) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = make(environ)
        start_response("200 OK", TEXT)
        return body

    return application


def scenarios(stream: Any) -> list[Any]:
    """What io's classes make of the stream."""
    seen: list[Any] = [isinstance(stream, io.BufferedIOBase), isinstance(stream, io.IOBase)]
    seen += [stream.readable(), stream.writable(), stream.seekable(), stream.closed, stream.isatty()]
    buffer = bytearray(4)
    seen += [stream.readinto(buffer), bytes(buffer), stream.read1(0)]
    for refused in (
        stream.tell,
        stream.fileno,
        stream.detach,
        lambda: stream.seek(0),
        lambda: stream.write(b""),
    ):
        with pytest.raises(io.UnsupportedOperation):
            refused()
    with pytest.raises(BufferError):
        stream.readinto(b"1234")
    text = io.TextIOWrapper(stream, "utf-8", newline="")
    seen.append(list(csv.reader(text)))
    text.close()
    return [*seen, stream.closed, stream.read(), stream.readinto1(buffer)]


BODY = "1,2\nä,b\nc,d\n".encode()
EXPECTED = [True, True, True, False, False, False, False, 4, b"1,2\n", b""]
EXPECTED += [[["ä", "b"], ["c", "d"]], False, b"", 0]


def test_the_input_is_an_io_stream() -> None:
    seen: list[Any] = []
    failed: list[BaseException] = []

    def body(environ: dict[str, Any]) -> list[bytes]:
        try:
            seen.append(scenarios(environ["wsgi.input"]))
            buffered = io.BufferedReader(environ["wsgi.input"])
            assert buffered.read() == b""
            errors = environ["wsgi.errors"]
            assert isinstance(errors, io.TextIOBase)
            assert errors.writable() and not errors.readable() and not errors.closed
            errors.close()
            print("still open", file=errors)
        except BaseException as error:
            failed.append(error)
        return [b"done"]

    assert natively(answering(body), data=BODY) == b"done"
    if failed:
        raise failed[0]
    assert seen == [EXPECTED]


class Upper:
    """More than its descriptor."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")
        self.fileno, self.tell, self.close = self.file.fileno, self.file.tell, self.file.close

    def read(self, size: int = -1) -> bytes:
        return self.file.read(size).upper()


class Minus(io.BytesIO):
    def fileno(self) -> int:
        return -1


def spooled() -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=1)  # noqa: SIM115
    file.write(b"plain text")
    file.seek(6)
    return file


def unflushed() -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(b"12345678")
    file.seek(0)
    file.write(b"plain")
    file.seek(0)
    return file


def test_a_file_that_is_more_than_its_descriptor_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"plain text")
    with gzip.open(tmp_path / "a.gz", "wb") as packed:
        packed.write(b"plain text")
    for make, expected in (
        (lambda: gzip.GzipFile(tmp_path / "a.gz"), b"plain text"),
        (lambda: Upper(tmp_path / "a"), b"PLAIN TEXT"),
        (lambda: Minus(b"minus"), b"minus"),
        (lambda: (tmp_path / "a").open("rb"), b"plain text"),
        (lambda: (tmp_path / "a").open("rb", buffering=0), b"plain text"),
        (spooled, b"text"),
        (unflushed, b"plain678"),
    ):
        application = answering(lambda environ, make=make: environ["wsgi.file_wrapper"](make()))
        assert natively(application) == expected


def writing(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    write = start_response("200 OK", TEXT)
    write(b"abc")
    write(b"def")
    return
    yield b""


def mixed(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    write = start_response("200 OK", TEXT)
    yield b"1"
    write(b"2")
    yield b"3"
    write(b"4")
    write(b"5")


@pytest.mark.parametrize(("application", "expected"), [(writing, b"abcdef"), (mixed, b"12345")])
@pytest.mark.parametrize("wrap", [lambda app: app, RequestId])
def test_data_written_while_the_iterable_is_read(application: Any, expected: bytes, wrap: Any) -> None:
    calls = 0

    def late(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        nonlocal calls
        calls += 1
        if calls < CALLS:
            start_response("200 OK", TEXT)
            return [b"plain"]
        return application(environ, start_response)

    assert natively(wrap(application)) == expected
    assert natively(wrap(late), CALLS) == expected
    assert outwardly(wrap(application)) == expected
