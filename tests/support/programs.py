"""Programs of the system that tests talk to: where one is missing the test is skipped, but never in CI."""

from __future__ import annotations

import os
import shutil

import pytest

PACKAGES = {"chromedriver": "chromium-driver"}
"""Debian's packages of those programs that are not called as they are."""


def program(name: str) -> str:
    """The path of a program, as ``apt-get install`` puts it there."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        reason = f"{name} is not installed; apt-get install {PACKAGES.get(name, name)}"
        if os.environ.get("CHECK_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found
