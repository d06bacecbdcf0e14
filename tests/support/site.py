"""A folder of files, for the tests of what is served from it."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from onionskin import StaticFiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.both_doors import Seen

    Get = Callable[..., Seen]

CHANGED = 1_700_000_000
"""When all files of the site were changed: long ago, on a whole second."""
DIGITS = b"0123456789"
LARGE = bytes(range(256)) * 400
STYLE = b"body {}" * 100


def put(root: Path, name: str, content: bytes, changed: float = CHANGED) -> Path:
    """A file with its folders."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (changed, changed))
    return path


def make_site(root: Path) -> Path:
    """A site, and a secret beside it."""
    put(root, "digits.txt", DIGITS)
    put(root, "large.bin", LARGE)
    put(root, "empty.txt", b"")
    put(root, "style.css", STYLE)
    put(root, "style.css.gz", gzip.compress(STYLE, mtime=0))
    put(root, "docs/index.html", b"<p>index")
    put(root, "docs/a b é.txt", b"a name")
    put(root.parent, "secret.txt", b"a secret")
    return root


def getter(through: Callable[..., Seen], root: Path) -> Get:
    """``get(path, *headers, **options)``: a request to the files of ``root`` through one door."""

    def get(path: str, *headers: tuple[str, str], method: str = "GET", **options: Any) -> Seen:
        target = quote(path, safe="/?%=&") if through.__name__ == "native" else path
        return through(StaticFiles(root=root, **options), target, method=method, headers=headers)

    return get
