"""`onionskin --version`, `--help` and `layers`: what they print, and where."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from server.process import ONIONSKIN


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line, run to its end."""
    return subprocess.run(
        [*ONIONSKIN, *arguments], cwd=cwd, capture_output=True, text=True, timeout=20, check=False
    )


def declared() -> list[str]:
    from onionskin import _core

    return [declaration["name"] for declaration in _core.declarations()]


@pytest.mark.smoke
def test_version_is_that_of_the_package():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"onionskin {version('onionskin')}\n", "")


def test_help_names_the_commands():
    done = run("--help")
    assert done.returncode == 0
    assert "serve" in done.stdout and "layers" in done.stdout
    assert done.stderr == ""


def test_help_of_serve_names_every_option_with_its_default():
    done = run("serve", "--help")
    assert done.returncode == 0
    from onionskin import _core

    text = " ".join(done.stdout.split())
    for name, option in _core.server_options()["properties"].items():
        assert f"--{name.replace('_', '-')} " in text
        default = option.get("default")
        shown = default if not isinstance(default, list) else ", ".join(default) or "none"
        shown = {"None": "none", "True": "yes", "False": "no"}.get(str(shown), shown)
        assert f"(default: {shown})" in text
    assert "--threads N" in text and "--layer NAME" in text


@pytest.mark.smoke
def test_layers_lists_every_layer_with_its_summary():
    done = run("layers")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == declared()
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("name", declared())
def test_layers_shows_the_options_of_one(name):
    from onionskin import _core

    done = run("layers", name)
    assert (done.returncode, done.stderr) == (0, "")
    declaration = next(each for each in _core.declarations() if each["name"] == name)
    assert done.stdout.startswith(f"{name} ({declaration['class']}): ")
    for option in declaration["schema"].get("properties", {}):
        assert f"\n  {option} (" in done.stdout


def test_an_unknown_layer_is_refused_with_those_that_there_are():
    done = run("layers", "no_such_layer")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "no_such_layer" in done.stderr
    assert all(name in done.stderr for name in declared())


def test_a_misspelled_layer_gets_a_suggestion_and_no_list():
    done = run("layers", "sesion")
    assert done.stderr == "onionskin: there is no layer 'sesion'; did you mean session?\n"


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["serve", "a:b", "--no-such-option"]])
def test_a_wrong_command_is_refused(arguments):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("onionskin: ")


def test_the_script_and_the_module_are_the_same_command():
    import sys

    script = Path(sys.executable).parent / "onionskin"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == run("--version").stdout
