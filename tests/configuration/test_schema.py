"""The schema of `onion.toml`: every file of the repository fits it, and what would be refused does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from onionskin import _core

jsonschema = pytest.importorskip("jsonschema")
tomllib = pytest.importorskip("tomllib", reason="Python 3.11 has it")

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [page for page in (REPOSITORY / "docs").rglob("*.md") if "```toml" in page.read_text()]
EXAMPLES = [path.read_text() for path in (REPOSITORY / "examples").glob("*.toml")]
EXAMPLES += [
    text for page in PAGES for text in re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.M | re.S)
]


@pytest.fixture(scope="module")
def validator() -> Any:
    """The schema, as an editor uses it."""
    schema = _core.configuration_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_file_that_is_shown_fits(validator, text):
    assert [error.message for error in validator.iter_errors(tomllib.loads(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "keep_alive = 5",
        'bind = ":80, :81"',
        "http2 = false",
        '[[layer]]\nuse = "session"\nsecret = ["x"]\nidle = 30\nmatch.path = "/a"\nunless.method = ["GET"]',
        '[[layer]]\nuse = "xslt"\nsheet = "a.xsl"',
        '[[layer]]\nuse = "mount"\nroutes = { "/blog" = "blog:app" }',
    ],
)
def test_what_would_be_taken_fits(validator, text):
    assert [error.message for error in validator.iter_errors(tomllib.loads(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        'threads = "x"',
        "threads = 0",
        "thread = 1",
        '[[layer]]\nuse = "compres"',
        '[[layer]]\nuse = "compress"\nlevel = 1',
        '[[layer]]\nuse = "allow_addresses"',
        '[[mount]]\nfolder = "/x"',
        "[dispatch]\nroutes = {}",
    ],
)
def test_what_would_be_refused_does_not_fit(validator, text):
    assert list(validator.iter_errors(tomllib.loads(text)))
