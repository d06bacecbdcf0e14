"""StaticFiles: the files of a folder by their names, and nothing else."""

from __future__ import annotations

import os
import re
import socket
import time
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from onionskin import ConfigurationError, StaticFiles
from support.both_doors import serving
from support.client import ask
from support.site import CHANGED, DIGITS, LARGE, getter, make_site, put
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Callable

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


def passed(seen: Seen) -> bool:
    """Whether the application was asked."""
    return seen.environ is not None and seen.body == b"inside"


# The file.


def test_a_file_is_sent_with_all_that_is_known_of_it(get: Get) -> None:
    seen = get("/digits.txt")
    assert (seen.status, seen.body) == (200, DIGITS)
    assert seen.get("Content-Type") == "text/plain; charset=utf-8"
    assert seen.get("Content-Length") == "10"
    assert seen.get("Cache-Control") == "max-age=60"
    assert seen.get("Accept-Ranges") == "bytes"
    assert seen.get("Last-Modified") == formatdate(CHANGED, usegmt=True)
    assert re.fullmatch(r'"[0-9a-f]{32}"', seen.get("ETag") or "")
    assert seen.get("Vary") is None
    assert seen.get("Access-Control-Allow-Origin") is None
    assert seen.environ is None


def test_a_large_file_is_sent_whole(get: Get) -> None:
    seen = get("/large.bin")
    assert (seen.body == LARGE, seen.get("Content-Length")) == (True, str(len(LARGE)))
    assert seen.get("Content-Type") == "application/octet-stream"
    assert (seen.get("ETag") or "").startswith('"')


def test_an_empty_file_is_one(get: Get) -> None:
    seen = get("/empty.txt")
    assert (seen.status, seen.body, seen.get("Content-Length")) == (200, b"", "0")


@pytest.mark.parametrize("path", ["/digits.txt", "/large.bin", "/empty.txt", "/style.css"])
def test_head_says_what_get_would(get: Get, path: str) -> None:
    whole, head = get(path), get(path, method="HEAD")
    assert head.body == b""
    assert strip(head) == strip(whole)


def strip(seen: Seen) -> list[tuple[str, str]]:
    """The headers that don't tell of the moment."""
    return sorted((name.lower(), value) for name, value in seen.headers if name.lower() != "date")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.map", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.png", "image/png"),
        ("a.JPG", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.avif", "image/avif"),
        ("a.ico", "image/x-icon"),
        ("a.woff", "font/woff"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.pdf", "application/pdf"),
        ("a.xml", "application/xml"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.md", "text/markdown; charset=utf-8"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.mp4", "video/mp4"),
        ("a.tar.gz", "application/gzip"),
        ("a.unheard-of", "application/octet-stream"),
        ("README", "application/octet-stream"),
    ],
)
def test_the_type_goes_by_the_name(root: Path, name: str, expected: str) -> None:
    put(root, name, b"x")
    outcome = run(StaticFiles(root), make_environ(f"/{name}"))
    assert dict(outcome.headers)["Content-Type"] == expected


# What is no file.


@pytest.mark.parametrize(
    "path",
    [
        "/none.txt",
        "/",
        "/docs",
        "/docs/",
        "/digits.txt/",
        "/digits.txt/x",
        "//digits.txt",
        "/docs//index.html",
        "/./digits.txt",
        "/docs/../digits.txt",
        "/../secret.txt",
        "/../root/digits.txt",
        "/docs/../../secret.txt",
        "/..\\secret.txt",
        "/digits.txt\\",
        "/" + "a" * 300,
        "/a" * 3000,
    ],
)
def test_what_is_no_file_reaches_the_application(get: Get, path: str) -> None:
    assert passed(get(path))


@pytest.mark.parametrize(
    "target",
    [
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/docs/%2E%2E/%2e%2e/secret.txt",
        "/%252e%252e/secret.txt",
        "/digits.txt%00",
        "/digits.txt%00.css",
        "/..%5csecret.txt",
        "/%c0%ae%c0%ae/secret.txt",
        "/%2fetc/passwd",
        "/digits.txt%2f",
    ],
)
def test_nothing_is_hidden_in_escapes(root: Path, target: str) -> None:
    with serving(StaticFiles(root)) as place:
        # Some of these our server refuses by itself.
        assert ask(place, target).status in (400, 404)


def test_an_escaped_name_is_the_name(through: Through, root: Path) -> None:
    # environ has the bytes of the path as latin-1 (PEP 3333).
    in_environ = "/docs/a b é.txt".encode().decode("latin-1")
    target = "/docs/a%20b%20%C3%A9.txt" if through.__name__ == "native" else in_environ
    assert through(StaticFiles(root=root), target).body == b"a name"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_the_applications(get: Get, method: str) -> None:
    assert passed(get("/digits.txt", method=method))


def test_without_fallthrough_there_is_nothing_and_no_other_method(get: Get) -> None:
    strict = partial(get, fallthrough=False, prefix="/static")
    assert (strict("/static/none").status, strict("/static/none").body) == (404, b"Not Found\n")
    refused = strict("/static/digits.txt", method="POST")
    assert (refused.status, refused.get("Allow")) == (405, "GET, HEAD")
    assert passed(strict("/none"))


def test_alone_it_answers_404(root: Path) -> None:
    alone = StaticFiles(root)
    assert run(alone, make_environ("/none")).status == "404 Not Found"
    assert run(alone, make_environ("/digits.txt", "POST")).status == "404 Not Found"
    assert run(alone, make_environ("/digits.txt")).body == DIGITS


def test_a_prefix_is_made_of_whole_segments(get: Get) -> None:
    assert get("/static/digits.txt", prefix="/static").body == DIGITS
    assert get("/static/digits.txt", prefix="/static/").body == DIGITS
    assert passed(get("/staticdigits.txt", prefix="/static"))
    assert passed(get("/digits.txt", prefix="/static"))


def test_a_mount_point_is_not_part_of_the_path(root: Path) -> None:
    environ = make_environ("/static/digits.txt", SCRIPT_NAME="/mounted")
    assert run(StaticFiles(root, prefix="/static"), environ).body == DIGITS


def test_hidden_files_are_not_there_but_for_well_known(get: Get, root: Path) -> None:
    put(root, ".env", b"secrets")
    put(root, ".git/config", b"more")
    put(root, ".well-known/security.txt", b"Contact: me")
    assert passed(get("/.env"))
    assert passed(get("/.git/config"))
    assert get("/.well-known/security.txt").body == b"Contact: me"
    assert get("/.env", hidden_files=True).body == b"secrets"


def test_links_stay_within_the_root(get: Get, root: Path) -> None:
    (root / "inside").symlink_to("digits.txt")
    (root / "out").symlink_to("../secret.txt")
    (root / "absolute").symlink_to(root.parent / "secret.txt")
    (root / "up").symlink_to("..")
    (root / "dangling").symlink_to("nowhere")
    assert get("/inside").body == DIGITS
    for path in ("/out", "/absolute", "/up/secret.txt", "/up/root/digits.txt", "/dangling"):
        assert passed(get(path)), path
    assert get("/out", follow_symlinks=True).body == b"a secret"


def test_what_is_no_regular_file_is_not_there(get: Get, root: Path) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        for path in ("/fifo", "/socket"):
            assert passed(get(path)), path
            assert passed(get(path, follow_symlinks=True)), path


def test_what_may_not_be_read_is_not_there(get: Get, root: Path) -> None:
    (root / "digits.txt").chmod(0)
    if os.access(root / "digits.txt", os.R_OK):
        pytest.skip("this user may read everything")
    assert passed(get("/digits.txt"))


# Folders.


def test_an_index_stands_for_its_folder(get: Get, root: Path) -> None:
    assert get("/docs/", index="index.html").body == b"<p>index"
    assert passed(get("/", index="index.html"))
    put(root, "index.html", b"<p>top")
    assert get("/", index="index.html").body == b"<p>top"


@pytest.mark.parametrize(
    ("target", "location"),
    [("/docs", "./docs/"), ("/docs?a=b&c", "./docs/?a=b&c"), ("/static", "./static/")],
)
def test_a_folder_without_its_slash_is_redirected_from_where_it_is(
    through: Through, root: Path, target: str, location: str
) -> None:
    put(root, "index.html", b"<p>top")
    prefix = "/static" if target == "/static" else "/"
    seen = through(StaticFiles(root=root, index="index.html", prefix=prefix), target)
    assert (seen.status, seen.get("Location")) == (301, location)


def test_no_host_can_be_smuggled_into_a_redirect(root: Path) -> None:
    put(root, "evil.example/index.html", b"x")
    put(root, "a:b/index.html", b"x")
    with serving(StaticFiles(root, index="index.html")) as place:
        assert ask(place, "//evil.example").status == 404
        assert ask(place, "/%2fevil.example").status == 404
        assert ask(place, "/evil.example").get("Location") == "./evil.example/"
        assert ask(place, "/a:b").get("Location") == "./a:b/"


def test_a_folder_without_an_index_is_not_redirected(get: Get, root: Path) -> None:
    (root / "bare").mkdir()
    assert passed(get("/bare", index="index.html"))
    assert passed(get("/bare/", index="index.html"))


# Headers.


@pytest.mark.parametrize(
    ("name", "for_ever"),
    [
        ("app.3f8a21cc.css", True),
        ("js/main.0123456789abcdef0123.chunk.js", True),
        ("report.20240101.pdf", False),
        ("app.css", False),
        ("3f8a21cc.css", False),
        ("app.3F8A21CC.css", False),
        ("app.deadbeef.css", False),
        ("3f8a21cc1.d/app.css", False),
    ],
)
def test_a_name_with_a_hash_never_changes(get: Get, root: Path, name: str, for_ever: bool) -> None:
    put(root, name, b"x")
    expected = "max-age=31536000, immutable" if for_ever else "max-age=300"
    assert get(f"/{name}", max_age="5m").get("Cache-Control") == expected


def test_what_never_changes_may_be_told_by_a_pattern(get: Get, root: Path) -> None:
    put(root, "assets/index-BkXz1_3a.js", b"x")
    seen = get("/assets/index-BkXz1_3a.js", immutable=r"^assets/.*-[\w-]{8}\.")
    assert seen.get("Cache-Control") == "max-age=31536000, immutable"
    assert get("/digits.txt", immutable=r"^assets/.*-[\w-]{8}\.").get("Cache-Control") == "max-age=60"


def test_headers_are_given_by_globs(get: Get) -> None:
    given = {
        "**": {"Cache-Control": "no-cache", "X-Site": "one"},
        "docs/**": {"X-Site": "two"},
        "*.txt": {"Content-Type": "text/x-digits"},
    }
    digits, index = get("/digits.txt", headers=given), get("/docs/index.html", headers=given)
    assert (digits.get("X-Site"), digits.get("Content-Type")) == ("one", "text/x-digits")
    assert (index.get("X-Site"), index.get("Content-Type")) == ("two", "text/html; charset=utf-8")
    assert index.get("Cache-Control") == digits.get("Cache-Control") == "no-cache"


@pytest.mark.parametrize("headers", [(), (("Range", "bytes=0-1"),), (("Range", "bytes=10-"),)], ids=repr)
def test_all_origins_may_be_allowed(get: Get, headers: tuple[tuple[str, str], ...]) -> None:
    assert get("/digits.txt", *headers, allow_all_origins=True).get("Access-Control-Allow-Origin") == "*"


def test_a_change_in_the_future_is_not_spoken_of(get: Get, root: Path) -> None:
    put(root, "digits.txt", DIGITS, time.time() + 3600)
    assert get("/digits.txt").get("Last-Modified") is None


# Options.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": "/no/such/folder"}, 'root: "/no/such/folder" is no folder; give one that is there'),
        ({"root": __file__}, "is no folder; give one that is there"),
        ({}, "root is missing; give a text"),
        ({"root": "/", "prefix": "x"}, 'prefix: "x" is not a path; expected one such as "/static"'),
        ({"root": "/", "max_age": "soon"}, 'max_age: "soon" is no length of time; write 30s or 5m'),
        ({"root": "/", "immutable": "["}, 'immutable: "[" is no regular expression'),
        ({"root": "/", "headers": {"**": {"Content-Length": "1"}}}, "headers: **: Content-Length is"),
    ],
)
def test_wrong_options_are_refused_at_start_up(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        StaticFiles(**options)
    assert message in str(refused.value)
