"""Git over HTTP by dulwich, which uses ``write()`` within its iterable: a real clone of a real repository."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import make_wsgi_chain

from onionskin import Headers
from support.both_doors import serving

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = {"bare": lambda app: app, "layered": Headers(response={"set": {"X-A": "b"}})}


def git(*arguments: str, folder: Path) -> str:
    """Runs git, apart from any configuration of the user."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("clones", [1, 60], ids=["first calls", "after many calls"])
def test_git_clones_from_dulwich(layers: str, clones: int, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    git("init", folder=origin)
    for number in range(3):
        (origin / f"file{number}").write_bytes(bytes(range(256)) * 400)
        git("add", ".", folder=origin)
        git("commit", "-m", f"commit {number}", folder=origin)
    application = LAYERS[layers](make_wsgi_chain(DictBackend({"/": Repo(str(origin))})))

    with serving(application, threads=2) as (host, port):
        for _ in range(clones - 1):
            git("ls-remote", f"http://{host}:{port}/", folder=tmp_path)
        git("clone", f"http://{host}:{port}/", "copy", folder=tmp_path)

    assert git("log", "--format=%s", folder=tmp_path / "copy").split("\n")[:3] == [
        "commit 2",
        "commit 1",
        "commit 0",
    ]
    assert git("fsck", "--full", folder=tmp_path / "copy") == ""
