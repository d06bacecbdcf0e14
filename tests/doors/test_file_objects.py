"""``wsgi.file_wrapper`` around objects that are more than their descriptor: what they return is sent."""

from __future__ import annotations

import gzip
import io
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse
from django.urls import path as route

from support.both_doors import serving
from support.client import ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PLAIN = b"plain text, " * 2000


class Decrypting(io.BufferedReader):
    """A file that is decrypted as it is read."""

    def read(self, size: int | None = -1) -> bytes:
        return bytes(byte ^ 1 for byte in super().read(size))


class Wrapped:
    """An object without a usable descriptor."""

    def __init__(self, descriptor: Any) -> None:
        self.inside, self.descriptor = io.BytesIO(PLAIN), descriptor

    def fileno(self) -> Any:
        return self.descriptor

    def tell(self) -> int:
        return 0

    def read(self, size: int) -> bytes:
        return self.inside.read(size)


def gzipped(folder: Path) -> Any:
    with gzip.open(folder / "file.gz", "wb") as file:
        file.write(PLAIN)
    return gzip.open(folder / "file.gz")


def decrypted(folder: Path) -> Any:
    (folder / "file").write_bytes(bytes(byte ^ 1 for byte in PLAIN))
    return Decrypting(io.FileIO(folder / "file"))


def over_a_decrypting_file(folder: Path) -> Any:
    class Raw(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            count = super().readinto(buffer)
            buffer[:count] = bytes(byte ^ 1 for byte in bytes(buffer[:count]))
            return count

    (folder / "file").write_bytes(bytes(byte ^ 1 for byte in PLAIN))
    return io.BufferedReader(Raw(folder / "file"))


def instrumented(folder: Path) -> Any:
    file = plain(folder)
    parts = iter([PLAIN, b""])
    file.read = lambda size=-1: next(parts)
    (folder / "file").write_bytes(b"something else")
    return file


def plain(folder: Path) -> Any:
    (folder / "file").write_bytes(PLAIN)
    return (folder / "file").open("rb")


def unbuffered(folder: Path) -> Any:
    (folder / "file").write_bytes(PLAIN)
    return (folder / "file").open("rb", buffering=0)


def being_written(folder: Path) -> Any:
    file = (folder / "file").open("w+b")
    file.write(PLAIN)
    file.seek(0)
    return file


def spooled_on_disk(folder: Path) -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=10)  # noqa: SIM115 - the server closes it
    file.write(PLAIN)
    file.seek(0)
    return file


def spooled_in_memory(folder: Path) -> Any:
    file = tempfile.SpooledTemporaryFile(max_size=1_000_000)  # noqa: SIM115 - the server closes it
    file.write(PLAIN)
    file.seek(0)
    return file


def named_temporary(folder: Path) -> Any:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - the server closes it
    file.write(PLAIN)
    file.seek(0)
    return file


def no_descriptor(folder: Path) -> Any:
    return Wrapped(-1)


def an_absurd_descriptor(folder: Path) -> Any:
    return Wrapped("none")


OPENED = [
    gzipped,
    decrypted,
    over_a_decrypting_file,
    instrumented,
    plain,
    unbuffered,
    being_written,
    spooled_on_disk,
    spooled_in_memory,
    named_temporary,
    no_descriptor,
    an_absurd_descriptor,
]


@pytest.mark.parametrize("opened", OPENED, ids=lambda opened: opened.__name__)
def test_what_is_sent_is_what_read_returns(opened: Callable[[Path], Any], tmp_path: Path) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](opened(tmp_path))

    with serving(application) as place:
        reply = ask(place, "/")
        assert (reply.status, reply.body) == (200, PLAIN)
        assert ask(place, "/").body == PLAIN


@pytest.mark.parametrize("opened", [plain, unbuffered, spooled_on_disk, named_temporary])
def test_a_plain_file_has_the_length_that_the_kernel_sends(
    opened: Callable[[Path], Any], tmp_path: Path
) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        file = opened(tmp_path)
        file.read(7)
        return environ["wsgi.file_wrapper"](file)

    with serving(application) as place:
        reply = ask(place, "/")
        assert reply.body == PLAIN[7:]
        assert ("Content-Length", str(len(PLAIN) - 7)) in reply.headers


def test_a_file_response_of_django_around_a_decompressing_file(tmp_path: Path) -> None:
    def download(request: Any) -> FileResponse:
        return FileResponse(gzipped(tmp_path), content_type="text/plain")

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], MIDDLEWARE=[], SECRET_KEY="for tests only")
    settings.ROOT_URLCONF = type("Urls", (), {"urlpatterns": [route("", download)]})
    with serving(WSGIHandler()) as place:
        assert ask(place, "/").body == PLAIN
