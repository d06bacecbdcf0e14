"""StaticFiles: files that come, change and go while they are served."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from onionskin import StaticFiles
from support.site import DIGITS, LARGE, make_site, put
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.smoke


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A site."""
    return make_site(tmp_path / "root")


def test_a_changed_file_is_another_one(root: Path) -> None:
    app = StaticFiles(root, recheck="0s")
    for name, content in [("digits.txt", DIGITS), ("large.bin", LARGE)]:
        first = run(app, make_environ(f"/{name}"))
        # Of the same length and age, as after a careless copy.
        replaced = put(root, "new", content[::-1])
        replaced.replace(root / name)
        second = run(app, make_environ(f"/{name}"))
        assert (first.body, second.body) == (content, content[::-1])
        if name == "digits.txt":
            assert dict(first.headers)["ETag"] != dict(second.headers)["ETag"]


def test_new_files_are_there_and_removed_ones_are_gone(root: Path) -> None:
    app = StaticFiles(root, recheck="0s")
    assert run(app, make_environ("/new.txt")).status == "404 Not Found"
    path = put(root, "new.txt", b"new")
    assert run(app, make_environ("/new.txt")).body == b"new"
    path.unlink()
    assert run(app, make_environ("/new.txt")).status == "404 Not Found"


def test_what_was_found_is_used_for_a_while(root: Path) -> None:
    app = StaticFiles(root, recheck="1h")
    first = run(app, make_environ("/digits.txt"))
    put(root, "digits.txt", b"changed")
    again = run(app, make_environ("/digits.txt"))
    assert (again.body, again.headers) == (first.body, first.headers)


def test_more_files_than_are_kept_are_all_served(root: Path) -> None:
    app = StaticFiles(root, recheck="1h")
    for number in range(600):
        put(root, f"many/{number}.txt", str(number).encode())
    for number in [*range(600), *range(600)]:
        assert run(app, make_environ(f"/many/{number}.txt")).body == str(number).encode()


@pytest.mark.skipif(sys.platform != "linux", reason="it counts in /proc")
def test_open_files_are_bounded(root: Path) -> None:
    app = StaticFiles(root, recheck="1h")
    for number in range(300):
        put(root, f"large/{number}.bin", LARGE[:40_000])
        assert len(run(app, make_environ(f"/large/{number}.bin")).body) == 40_000
    opened = [entry.resolve() for entry in Path("/proc/self/fd").iterdir()]
    assert len([path for path in opened if path.parent == root / "large"]) <= 256
