"""Each layer has its page and its test, and the examples on the pages work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import onionskin
from support.wsgi import make_environ, run

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "layers"
ROWS = onionskin._core.declarations()


def examples(page: Path) -> list[str]:
    """The blocks of Python that call themselves examples."""
    return re.findall(r"^```python\n(# example\n.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


EXAMPLES = [(page.name, code) for page in sorted(PAGES.glob("*.md")) for code in examples(page)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_every_layer_has_a_page_with_an_example(row: dict[str, Any]) -> None:
    page = PAGES / f"{row['name']}.md"
    title, _, rest = page.read_text().partition("\n\n")
    assert title == f"# {row['class']}"
    assert rest.startswith(row["summary"])
    assert len(examples(page)) >= 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_every_layer_has_a_test(row: dict[str, Any]) -> None:
    tests = (Path(__file__).parent / f"test_{row['name']}.py").read_text()
    assert re.search(rf"^from onionskin import .*\b{row['class']}\b", tests, re.MULTILINE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_every_option_is_on_the_layers_page(row: dict[str, Any]) -> None:
    page = (PAGES / f"{row['name']}.md").read_text()
    assert [name for name in row["schema"]["properties"] if f"| `{name}` |" not in page] == []


@pytest.mark.smoke
@pytest.mark.parametrize(("page", "code"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_an_example_is_an_application_that_answers(page: str, code: str) -> None:
    names: dict[str, Any] = {}
    exec(compile(code, page, "exec"), names)
    outcome = run(names["application"], make_environ("/"))
    assert outcome.status == "200 OK"
    assert outcome.body.startswith((b"Hello, neighbour!", b"This is request "))


def test_the_page_of_all_layers_lists_each_of_them() -> None:
    listing = (PAGES / "README.md").read_text()
    assert [row["name"] for row in ROWS if f"]({row['name']}.md)" not in listing] == []


@pytest.mark.parametrize(
    "text",
    re.findall(
        r"`([a-z_]+:[a-z_][\w.-]*=[^`]+)`", "".join(page.read_text() for page in sorted(PAGES.glob("*.md")))
    ),
)
def test_a_layer_on_a_page_can_be_had_from_the_command_line(text: str) -> None:
    layer = onionskin._core.layer_from_text(text)
    assert layer.name == text.partition(":")[0]
