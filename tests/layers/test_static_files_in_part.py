"""StaticFiles: whether to send a file at all, in which of its forms, and which parts of it."""

from __future__ import annotations

from email import message_from_bytes
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from support.site import CHANGED, DIGITS, LARGE, getter, make_site, put

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.both_doors import Seen
    from support.site import Get

    Through = Callable[..., Seen]

pytestmark = pytest.mark.smoke


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A site."""
    return make_site(tmp_path / "root")


@pytest.fixture
def get(through: Through, root: Path) -> Get:
    """``get(path, *headers, **options)``: a request through one door and then the other."""
    return getter(through, root)


# Conditions (RFC 9110 section 13).

BEFORE, EXACTLY, AFTER = (formatdate(CHANGED + by, usegmt=True) for by in (-60, 0, 60))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("If-None-Match", "ETAG")], 304),
        ([("If-None-Match", '"a", ETAG, "b"')], 304),
        ([("If-None-Match", "W/ETAG")], 304),
        ([("If-None-Match", "*")], 304),
        ([("If-None-Match", '"other"')], 200),
        ([("If-None-Match", "nonsense")], 200),
        ([("If-Modified-Since", EXACTLY)], 304),
        ([("If-Modified-Since", AFTER)], 304),
        ([("If-Modified-Since", BEFORE)], 200),
        ([("If-Modified-Since", "yesterday")], 200),
        ([("If-None-Match", '"other"'), ("If-Modified-Since", AFTER)], 200),
        ([("If-None-Match", "ETAG"), ("If-Modified-Since", BEFORE)], 304),
        ([("If-Match", "ETAG")], 200),
        ([("If-Match", '"a", ETAG')], 200),
        ([("If-Match", "*")], 200),
        ([("If-Match", "W/ETAG")], 412),
        ([("If-Match", '"other"')], 412),
        ([("If-Match", '"other"'), ("If-None-Match", "ETAG")], 412),
        ([("If-Match", "ETAG"), ("If-Unmodified-Since", BEFORE)], 200),
        ([("If-Unmodified-Since", BEFORE)], 412),
        ([("If-Unmodified-Since", EXACTLY)], 200),
        ([("If-Unmodified-Since", AFTER), ("If-None-Match", "ETAG")], 304),
        ([("If-None-Match", "ETAG"), ("Range", "bytes=0-1")], 304),
        ([("If-Match", '"other"'), ("Range", "bytes=99-")], 412),
    ],
    ids=repr,
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_are_weighed_in_their_order(
    get: Get, method: str, headers: list[tuple[str, str]], status: int
) -> None:
    etag = get("/digits.txt").get("ETag") or ""
    asked = [(name, value.replace("ETAG", etag)) for name, value in headers]
    assert get("/digits.txt", *asked, method=method).status == status


def test_not_modified_says_only_what_caches_need(get: Get) -> None:
    etag = get("/style.css").get("ETag") or ""
    seen = get("/style.css", ("If-None-Match", etag), allow_all_origins=True)
    names = {name.lower() for name, _ in seen.headers} - {"date", "server", "connection"}
    assert (seen.status, seen.body) == (304, b"")
    assert names == {"etag", "cache-control", "vary", "access-control-allow-origin"}


# Ranges (RFC 9110 section 14).


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "body"),
    [
        ("bytes=0-0", 206, "bytes 0-0/10", b"0"),
        ("bytes=0-9", 206, "bytes 0-9/10", DIGITS),
        ("bytes=3-5", 206, "bytes 3-5/10", b"345"),
        ("bytes=7-", 206, "bytes 7-9/10", b"789"),
        ("bytes=-1", 206, "bytes 9-9/10", b"9"),
        ("bytes=-3", 206, "bytes 7-9/10", b"789"),
        ("bytes=-99", 206, "bytes 0-9/10", DIGITS),
        ("bytes=5-99", 206, "bytes 5-9/10", b"56789"),
        ("bytes=20-,1-1", 206, "bytes 1-1/10", b"1"),
        ("bytes=10-", 416, "bytes */10", None),
        ("bytes=10-20,30-", 416, "bytes */10", None),
        ("bytes=-0", 416, "bytes */10", None),
        ("bytes=99999999999999999999999-", 416, "bytes */10", None),
        ("bytes=5-3", 200, None, DIGITS),
        ("bytes=", 200, None, DIGITS),
        ("bytes=x", 200, None, DIGITS),
        ("lines=1-2", 200, None, DIGITS),
        ("bytes=0-9,0-9", 200, None, DIGITS),
        ("bytes=" + ",".join(["0-0"] * 17), 200, None, DIGITS),
    ],
)
def test_a_range_is_what_was_asked_for(
    get: Get, asked: str, status: int, content_range: str | None, body: bytes | None
) -> None:
    seen = get("/digits.txt", ("Range", asked))
    assert (seen.status, seen.get("Content-Range")) == (status, content_range)
    if body is not None:
        assert (seen.body, seen.get("Content-Length")) == (body, str(len(body)))


@pytest.mark.parametrize("part", [slice(0, 1), slice(50_000, 90_001), slice(102_399, 102_400)], ids=repr)
def test_a_range_of_a_large_file_is_what_was_asked_for(get: Get, part: slice) -> None:
    seen = get("/large.bin", ("Range", f"bytes={part.start}-{part.stop - 1}"))
    assert (seen.status, seen.body == LARGE[part]) == (206, True)


@pytest.mark.parametrize(
    ("path", "content", "parts"),
    [
        ("/digits.txt", DIGITS, [slice(8, 10), slice(0, 2)]),
        ("/large.bin", LARGE, [slice(0, 10), slice(100, 90_000), slice(102_399, 102_400)]),
    ],
    ids=["small", "large"],
)
def test_several_ranges_come_as_a_multipart(get: Get, path: str, content: bytes, parts: list[slice]) -> None:
    asked = ",".join(f"{part.start}-{part.stop - 1}" for part in parts)
    seen = get(path, ("Range", f"bytes={asked}"))
    media_type = seen.get("Content-Type") or ""
    assert (seen.status, seen.get("Content-Range")) == (206, None)
    assert seen.get("Content-Length") == str(len(seen.body))
    assert media_type.startswith("multipart/byteranges; boundary=")
    whole = message_from_bytes(b"Content-Type: " + media_type.encode() + b"\r\n\r\n" + seen.body)
    named = [message["Content-Range"] for message in whole.walk() if not message.is_multipart()]
    assert named == [f"bytes {part.start}-{part.stop - 1}/{len(content)}" for part in parts]
    boundary = media_type.rpartition("=")[2].encode()
    blocks = [block.partition(b"\r\n\r\n")[2][:-2] for block in seen.body.split(b"--" + boundary)[1:-1]]
    assert blocks == [content[part] for part in parts]


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("ETAG", 206),
        (EXACTLY, 206),
        ('"other"', 200),
        ("W/ETAG", 200),
        (BEFORE, 200),
        (AFTER, 200),
        ("x", 200),
    ],
)
def test_a_range_counts_only_for_the_file_that_is_meant(get: Get, condition: str, status: int) -> None:
    etag = get("/digits.txt").get("ETag") or ""
    condition = condition.replace("ETAG", etag)
    assert get("/digits.txt", ("Range", "bytes=0-1"), ("If-Range", condition)).status == status


def test_a_range_of_head_is_ignored(get: Get) -> None:
    seen = get("/digits.txt", ("Range", "bytes=0-1"), method="HEAD")
    assert (seen.status, seen.get("Content-Length")) == (200, "10")


def test_an_unsatisfiable_range_keeps_what_pages_of_other_origins_need(get: Get) -> None:
    seen = get("/digits.txt", ("Range", "bytes=10-"), allow_all_origins=True)
    assert (seen.status, seen.get("Access-Control-Allow-Origin")) == (416, "*")
    assert seen.get("Cache-Control") is None


# Compressed forms.


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("br, gzip", "br"),
        ("br;q=0.1, gzip;q=0.9", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("*", "zstd"),
        ("gzip;q=0", None),
        ("identity", None),
        ("identity, gzip;q=0.5", None),
        ("deflate", None),
        ("", None),
        ("*;q=0", None),
    ],
)
def test_the_best_form_that_is_accepted_is_sent(
    get: Get, root: Path, accepted: str, coding: str | None
) -> None:
    put(root, "app.js", b"plain")
    for suffix in ("gz", "br", "zst"):
        put(root, f"app.js.{suffix}", suffix.encode())
    seen = get("/app.js", ("Accept-Encoding", accepted))
    expected = {"gzip": b"gz", "br": b"br", "zstd": b"zst", None: b"plain"}[coding]
    assert (seen.get("Content-Encoding"), seen.body) == (coding, expected)
    assert seen.get("Vary") == "accept-encoding"
    assert seen.get("Content-Type") == "text/javascript; charset=utf-8"


def test_each_form_has_an_entity_tag_of_its_own(get: Get, root: Path) -> None:
    put(root, "app.js", LARGE)
    put(root, "app.js.gz", LARGE)
    plain, compressed = get("/app.js"), get("/app.js", ("Accept-Encoding", "gzip"))
    assert plain.get("ETag") != compressed.get("ETag")
    other = ("If-None-Match", plain.get("ETag") or "")
    assert get("/app.js", other, ("Accept-Encoding", "gzip")).status == 200
    assert get("/app.js", other).status == 304


def test_a_range_is_one_of_the_form_that_is_sent(get: Get, root: Path) -> None:
    compressed = (root / "style.css.gz").read_bytes()
    seen = get("/style.css", ("Accept-Encoding", "gzip"), ("Range", "bytes=2-5"))
    assert (seen.status, seen.body) == (206, compressed[2:6])
    assert (seen.get("Content-Encoding"), seen.get("Content-Range")) == (
        "gzip",
        f"bytes 2-5/{len(compressed)}",
    )
    several = get("/style.css", ("Accept-Encoding", "gzip"), ("Range", "bytes=0-1,4-5"))
    assert (several.status, several.body) == (200, compressed)


def test_a_compressed_form_that_is_older_is_not_used(get: Get, root: Path) -> None:
    put(root, "style.css", b"newer", CHANGED + 10)
    seen = get("/style.css", ("Accept-Encoding", "gzip"))
    assert (seen.body, seen.get("Content-Encoding"), seen.get("Vary")) == (b"newer", None, None)


def test_compressed_forms_can_be_left_out(get: Get) -> None:
    seen = get("/style.css", ("Accept-Encoding", "gzip"), precompressed=False)
    assert (seen.get("Content-Encoding"), seen.get("Vary")) == (None, None)
