"""The rules of the house that no compiler checks: what belongs together is there, what is written holds."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import onionskin
from onionskin import _core

ROOT = Path(__file__).resolve().parents[1]
LAYERS = [str(declaration["name"]) for declaration in _core.declarations()]
PLACES = ("crates", "python", "tests", "tools", "bench", "fuzz", "docs", "examples", ".ci")
BUILT = {"target", "venv", "corpus", "artifacts", "results", "__pycache__"}


def files(ending: str) -> list[Path]:
    """The repository's own files with this ending, in the order of their names."""
    found = [path for place in PLACES for path in (ROOT / place).rglob("*" + ending)]
    own = [path for path in found if not BUILT.intersection(path.relative_to(ROOT).parts)]
    return sorted([*ROOT.glob("*" + ending), *own])


def shown(path: Path) -> str:
    """A file as messages name it."""
    return path.relative_to(ROOT).as_posix()


PAGES = files(".md")
RUST = files(".rs")


# What belongs together.


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_has_source_page_and_test(name: str) -> None:
    sources = ROOT / "crates" / "layers" / "src"
    wanted = [f"docs/layers/{name}.md", f"tests/layers/test_{name}.py"]

    assert [path for path in wanted if not (ROOT / path).is_file()] == []
    # A file, or a folder where it has parts.
    assert (sources / f"{name}.rs").is_file() ^ (sources / name / "mod.rs").is_file()


@pytest.mark.parametrize("declaration", _core.declarations(), ids=LAYERS)
def test_a_layer_is_exported_and_listed(declaration: dict[str, str]) -> None:
    assert declaration["class"] in onionskin.__all__
    assert f"docs/layers/{declaration['name']}.md" in (ROOT / "README.md").read_text()


def test_every_page_of_the_documentation_is_reached_from_its_index() -> None:
    reached, ahead = set(), [ROOT / "docs" / "README.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached and page.suffix == ".md" and page.is_file():
            reached.add(page)
            ahead += [(page.parent / target).resolve() for target, _ in links(page)]

    assert [shown(page) for page in files(".md") if "docs" in page.parts and page not in reached] == []


# What is written.


@pytest.mark.skipif(shutil.which("cargo") is None, reason="the declarations are printed by cargo")
@pytest.mark.timeout(900)  # Cargo may have to compile what prints them.
def test_generated_files_are_fresh() -> None:
    command = [sys.executable, str(ROOT / "tools" / "generate.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True)

    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target, anchor in links(page):
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{target} is not there"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{target}#{anchor}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_python_example_of_a_page_is_python(page: Path) -> None:
    for example in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        ast.parse(example)


def test_the_description_on_pypi_has_absolute_links_to_existing_files() -> None:
    readme = (ROOT / "python" / "README.md").read_text()
    targets = re.findall(r"\]\(([^()\s]+)\)", readme)
    inside = [target for target in targets if "/blob/main/" in target]

    assert [target for target in targets if not target.startswith("https://")] == []
    assert len(inside) > 20
    assert [target for target in inside if not (ROOT / target.split("/blob/main/")[1]).exists()] == []


def links(page: Path) -> list[tuple[str, str]]:
    """The links of a page that stay in the repository: path and anchor."""
    text = re.sub(r"^(```|    ).*?$", "", page.read_text(), flags=re.MULTILINE)
    targets = re.findall(r"\]\(([^()\s]+)\)", text)
    inside = [target for target in targets if not re.match(r"[a-z]+:", target)]
    return [(target.partition("#")[0], target.partition("#")[2]) for target in inside]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_version_is_the_same_everywhere() -> None:
    stated = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)

    assert stated is not None
    assert stated[1] == onionskin.__version__
    assert f"## [{stated[1]}]" in (ROOT / "CHANGELOG.md").read_text()


# How it is written.


@pytest.mark.parametrize("path", [*RUST, *files(".py")], ids=shown)
def test_a_file_is_short_enough_to_be_read(path: Path) -> None:
    sources = ROOT / "crates" / "layers" / "src"
    is_layer = path in [sources / name for layer in LAYERS for name in (f"{layer}.rs", f"{layer}/mod.rs")]
    length = len(path.read_text().splitlines())

    assert length <= (250 if is_layer else 600), f"{length} lines: divide it"


UNSAFE = re.compile(r"\bunsafe\s+(?:\{|fn\b|impl\b|extern\b|trait\b)|\bunsafe\s*\{")


def test_unsafe_code_is_in_the_python_crate_alone() -> None:
    elsewhere = [path for path in RUST if not path.is_relative_to(ROOT / "crates" / "python")]

    assert [shown(path) for path in elsewhere if UNSAFE.search(path.read_text())] == []
    for crate in (ROOT / "crates").iterdir():
        if crate.name != "python":
            assert "#![forbid(unsafe_code)]" in (crate / "src" / "lib.rs").read_text(), crate.name


@pytest.mark.parametrize(
    "path", [path for path in RUST if path.is_relative_to(ROOT / "crates" / "python")], ids=shown
)
def test_unsafe_code_says_why_it_is_sound(path: Path) -> None:
    lines = path.read_text().splitlines()
    for number, line in enumerate(lines):
        if UNSAFE.search(line.partition("//")[0]):
            above = lines[max(0, number - 4) : number]
            assert any("// SAFETY:" in comment for comment in above), f"line {number + 1}"
