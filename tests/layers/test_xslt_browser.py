"""Xslt: feeds and the like that name their stylesheet, unchanged, in a browser and in a feed reader."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import feedparser
import pytest

from layers.xslt_site import DOCUMENTS, Document, application
from support.both_doors import serving
from support.chromium import chromium
from support.client import ask
from support.servers import start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver.remote.webdriver import WebDriver

READER = "application/atom+xml,application/rdf+xml,application/rss+xml,application/xml;q=0.9,*/*;q=0.1"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@contextmanager
def served(door: str, folder: Path) -> Iterator[tuple[str, int]]:
    """The site, under our server or as a middleware under gunicorn."""
    if door == "native":
        with serving(application) as place:
            yield place
    else:
        server = start("gunicorn", "layers.xslt_site:application", folder / "log")
        try:
            yield server.address
        finally:
            server.stop()


def seen_by(browser: WebDriver, place: tuple[str, int], path: str) -> tuple[str, str]:
    """The root element of the page as the browser has it, and its text."""
    browser.get(f"http://{place[0]}:{place[1]}{path}")
    script = "const root = document.documentElement; return [root.outerHTML, root.innerText]"
    html, text = browser.execute_script(script)
    return html, text


def test_a_browser_shows_what_xsltproc_makes(browser: WebDriver, door: str, tmp_path: Path) -> None:
    with served(door, tmp_path) as place:
        for document in DOCUMENTS.values():
            shown = seen_by(browser, place, document.path)
            assert shown == seen_by(browser, place, f"/by-xsltproc{document.path}")
            assert shown[0].startswith("<html")
            assert len(shown[1]) > 40


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=list(DOCUMENTS))
def test_a_feed_reader_gets_the_xml_unchanged(door: str, tmp_path: Path, document: Document) -> None:
    with served(door, tmp_path) as place:
        reply = ask(place, document.path, headers=[("Accept", READER)])
    assert reply.body == document.source
    assert (reply.get("Vary") or "").lower().split(", ").count("accept") == 1


def test_feedparser_reads_the_feeds(door: str, tmp_path: Path) -> None:
    with served(door, tmp_path) as place:
        rss, atom = (
            feedparser.parse(f"http://{place[0]}:{place[1]}{path}")
            for path in ("/feed.xml", "/static/atom.xml")
        )
    assert (rss.version, rss.feed.title, len(rss.entries)) == ("rss20", "Garden notes", 2)
    assert rss.entries[0].title == "Planting onions \N{EM DASH} a d\xe9but"
    assert (atom.version, [entry.title for entry in atom.entries]) == ("atom10", ["1.1", "1.0"])
