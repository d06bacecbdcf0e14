"""Workers without the variables that a shell or a login sets, as systemd and ``env -i`` start a server."""

from __future__ import annotations

import subprocess
import sys

import pytest

from onionskin.workers import working_directory
from server.process import ONIONSKIN

SHOWN = """
import os
application_directory = os.getcwd()
print("event:", os.getcwd(), flush=True, file=__import__("sys").stderr)
"""


@pytest.mark.smoke
@pytest.mark.parametrize("options", [[], ["--preload"], ["--reload"]], ids=["spawned", "preload", "reload"])
@pytest.mark.parametrize("variables", [{}, {"PWD": ""}, {"PWD": "."}, {"PWD": "/no/such/directory"}], ids=str)
def test_workers_start_whatever_pwd_says(site, serve, monkeypatch, options, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    site.write("1", more=SHOWN)
    with serve(*options, workers=1) as server:
        assert server.answer()[0] == "1"
        assert server.wait_for_line("^event: ") == f"event: {site.folder.resolve()}"


def test_the_directory_is_named_as_the_shell_names_it_if_it_is_the_same(tmp_path, monkeypatch):
    (tmp_path / "release").mkdir()
    (tmp_path / "current").symlink_to("release")
    monkeypatch.chdir(tmp_path / "current")
    for named, expected in [
        (str(tmp_path / "current"), str(tmp_path / "current")),
        ("", str(tmp_path / "release")),
        ("../current", str(tmp_path / "release")),
        (str(tmp_path), str(tmp_path / "release")),
    ]:
        monkeypatch.setenv("PWD", named)
        assert working_directory() == expected


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_variable_that_is_not_text_is_ignored_unless_it_is_an_option(site, workers):
    command = [*ONIONSKIN, "check", "site_of_test.py", "--workers", workers]
    for name, code in [(b"OTHER", 0), (b"ONIONSKIN_CONTROL", 2)]:
        done = subprocess.run(
            command,
            cwd=site.folder,
            env={name: b"\xff"},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == code, done
        assert "Traceback" not in done.stderr


def test_serve_from_python_needs_no_variable(site):
    script = (
        "import onionskin; onionskin.serve('no_such_module', workers=1, bind='127.0.0.1:0', config=False)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=site.folder,
        env={},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert "there is no module 'no_such_module' here" in done.stderr, done
