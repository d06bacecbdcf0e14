"""The pages for those who come from other servers: they leave nothing out, and what they name is there."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from onionskin import _core
from onionskin.cli import parser

gunicorn = pytest.importorskip("gunicorn.config")

HOW_TO = Path(__file__).resolve().parents[1] / "docs" / "how-to"
PAGES = ["from-gunicorn.md", "from-uwsgi.md", "instead-of-nginx.md"]

SETTINGS = sorted(
    setting.name
    for setting in gunicorn.KNOWN_SETTINGS
    # What a hook does belongs elsewhere, whichever it is; and one setting is the default of another.
    if not setting.section.endswith("Hooks") and setting.name != "default_proc_name"
)


def rows(page: str) -> list[list[str]]:
    """The rows of all tables of a page, by their cells."""
    lines = [line for line in (HOW_TO / page).read_text().splitlines() if line.startswith("| ")]
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]


def spans(text: str) -> list[str]:
    """What is set as code."""
    return re.findall(r"`([^`]+)`", text)


def called_the_same() -> list[str]:
    """The settings that need no row."""
    text = (HOW_TO / "from-gunicorn.md").read_text()
    return spans(re.findall(r"## What is called the same\n\n(.*?)\. Times", text, re.DOTALL)[0])


NAMED = [name for cells in rows("from-gunicorn.md") for name in spans(cells[0])] + called_the_same()


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_setting_of_gunicorn_is_left_out(setting):
    assert any(fnmatch(setting, name.partition(" ")[0]) for name in NAMED)


def test_what_is_said_to_be_called_the_same_is():
    assert called_the_same()
    assert set(called_the_same()) <= set(SETTINGS) & set(_core.server_options()["properties"])


def known() -> set[str]:
    """The names of all options: the server's, and those of layers and mounts."""
    names = set(_core.server_options()["properties"])
    for declaration in _core.declarations():
        names |= set(declaration["schema"]["properties"])
    for definition in _core.configuration_schema()["$defs"].values():
        names |= set(definition.get("properties", ()))
    return names | set(_core.configuration_schema()["properties"])


OTHER_NAMES = {"proxy_pass", "static_files", "uwsgi_pass"}
"""Words with an underscore that are no options: what nginx has then, and layers."""


@pytest.mark.parametrize("page", PAGES)
def test_every_option_that_is_named_for_here_is_one(page):
    here = [name for cells in rows(page) for name in spans(" ".join(cells[1:]))]
    flags = {flag for span in here for flag in re.findall(r"--[a-z][a-z0-9-]+", span)}
    options = {name for name in here if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", name)}
    command = parser(["serve"])
    served = next(action for action in command._actions if action.choices).choices["serve"]
    assert flags - set(served._option_string_actions) == set()
    assert options - known() - OTHER_NAMES == set()
    assert flags or options
