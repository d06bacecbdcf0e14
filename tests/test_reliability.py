"""The commands of docs/reliability.md: each one that the page names is there, and starts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
COMMANDS = re.findall(r"^    \.venv/bin/python (\S+)$", PAGE.read_text(), re.MULTILINE)


def test_the_page_names_commands() -> None:
    assert "bench/reload.py" in COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_is_there_and_starts(command: str) -> None:
    run = subprocess.run([sys.executable, ROOT / command, "--help"], capture_output=True, text=True)

    assert run.returncode == 0, run.stderr
    assert "--python" in run.stdout


@pytest.mark.parametrize("by", [(), ("--tls",)], ids=["http", "https"])
def test_reloads_and_an_upgrade_under_load_fail_no_request(by: tuple[str, ...]) -> None:
    options = ("--reloads", "2", "--upgrades", "1", "--kills", "1", "--boot-timeout", "3", *by)
    run = subprocess.run(
        [sys.executable, ROOT / "bench" / "reload.py", *options], capture_output=True, text=True, timeout=100
    )

    assert run.returncode == 0, run.stdout + run.stderr
