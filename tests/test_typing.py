"""What mypy and pyright say, in strict mode, of code that uses onionskin."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
TYPED = ROOT / "tests" / "typed"


def mypy(file: Path, folder: Path) -> dict[int, str]:
    """The lines of a file that mypy reports, with what it says."""
    options = ["--strict", "--config-file", "", "--cache-dir", str(folder), "--no-error-summary"]
    command = ["mypy", *options, str(file)]
    said = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True)
    assert not said.stderr, said.stderr
    found = re.findall(r"^.*?:(\d+): error: (.*)$", said.stdout, re.MULTILINE)
    return {int(line): message for line, message in found}


def pyright(file: Path, folder: Path) -> dict[int, str]:
    """The lines of a file that pyright reports, with what it says."""
    # It reads files of the project's folder only.
    (folder / file.name).write_text(file.read_text())
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
    command = ["pyright", "--outputjson", "--pythonpath", sys.executable, "--project", str(folder)]
    said = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True)
    report = json.loads(said.stdout)
    assert report["summary"]["filesAnalyzed"] == 1, said.stderr
    return {row["range"]["start"]["line"] + 1: row["message"] for row in report["generalDiagnostics"]}


CHECKERS = [mypy, pyright]


@pytest.mark.timeout(300)  # The first run of pyright fetches it.
@pytest.mark.parametrize("checker", CHECKERS)
def test_correct_uses_are_accepted(checker: Callable[[Path, Path], dict[int, str]], tmp_path: Path) -> None:
    assert checker(TYPED / "accepted.py", tmp_path) == {}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("checker", CHECKERS)
def test_wrong_uses_are_rejected(checker: Callable[[Path, Path], dict[int, str]], tmp_path: Path) -> None:
    file = TYPED / "rejected.py"
    marked = [n for n, line in enumerate(file.read_text().splitlines(), 1) if line.endswith("# wrong")]

    assert sorted(checker(file, tmp_path)) == marked
