"""Xslt: stylesheets that documents name, fetched from the application; and XML for clients that prefer it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from layers.xslt_sheets import BARE, TEXT, root, stylesheet
from onionskin import Mount, Xslt
from support.both_doors import serving
from support.client import ask

if TYPE_CHECKING:
    from collections.abc import Iterable

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
READER = "application/atom+xml,application/rdf+xml,application/rss+xml,application/xml;q=0.9,*/*;q=0.1"


class Site:
    """An application that serves these documents, and remembers how it was asked."""

    def __init__(self, **documents: str) -> None:
        self.documents = {f"/{name.replace('__', '/')}": text for name, text in documents.items()}
        self.types: dict[str, str] = {}
        self.asked: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.asked.append(dict(environ))
        path = environ["PATH_INFO"]
        # As applications do that dispatch: environ is changed in place.
        environ["SCRIPT_NAME"] += path
        environ["PATH_INFO"] = ""
        environ["site.visited"] = True
        text = self.documents.get(path)
        if text is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"no such page"]
        text = text.replace("HOST", environ["HTTP_HOST"])
        tag = f'"{hash(text)}"'
        if environ.get("HTTP_IF_NONE_MATCH") == tag:
            start_response("304 Not Modified", [("ETag", tag)])
            return []
        media_type = self.types.get(path, "application/rss+xml" if path.endswith("feed") else "text/xml")
        start_response("200 OK", [("Content-Type", media_type), ("ETag", tag)])
        return (text[start : start + 40].encode() for start in range(0, len(text), 40))

    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [environ["PATH_INFO"] for environ in self.asked]


def feed(href: str, inside: str = "one") -> str:
    return f'<?xml-stylesheet type="text/xsl" href="{href}"?><rss>{inside}</rss>'


SHEET = stylesheet(TEXT + root("made of <xsl:value-of select='.'/>"))


def test_a_stylesheet_is_fetched_from_the_application(told: Any) -> None:
    site = Site(feed=feed("/static/rss.xsl?v=1"), static__rss_xsl=SHEET)
    site.documents["/static/rss.xsl"] = SHEET
    seen = told(
        Xslt(site, processing_instruction=True),
        "/feed",
        headers=[("Cookie", "a=1"), ("Authorization", "Basic eDp5"), ("X-Forwarded-Proto", "https")],
    )
    assert (seen.status, seen.body, seen.headers["content-type"]) == (
        200,
        b"made of one",
        "text/plain; charset=UTF-8",
    )
    document, fetched = site.asked
    assert (fetched["REQUEST_METHOD"], fetched["SCRIPT_NAME"]) == ("GET", "")
    assert (fetched["PATH_INFO"], fetched["QUERY_STRING"]) == ("/static/rss.xsl", "v=1")
    assert fetched["HTTP_HOST"] == document["HTTP_HOST"]
    assert fetched["HTTP_X_FORWARDED_PROTO"] == "https"
    assert document["HTTP_COOKIE"] == "a=1"
    for absent in ("HTTP_COOKIE", "HTTP_AUTHORIZATION", "site.visited"):
        assert absent not in fetched
    assert fetched["wsgi.input"].read() == b""


def test_imports_and_documents_are_fetched_too(told: Any) -> None:
    site = Site()
    site.documents = {
        "/a/feed": feed("xsl/main.xsl"),
        "/a/xsl/main.xsl": stylesheet(
            '<xsl:import href="../base.xsl"/><xsl:include href="http://HOST/more/part.xsl"/>'
            + root("<xsl:call-template name='part'/>")
        ),
        "/a/base.xsl": stylesheet('<xsl:output method="text" media-type="text/x-base"/>'),
        "/more/part.xsl": stylesheet(
            "<xsl:template name='part'><xsl:value-of select=\"document('words.xml')\"/></xsl:template>"
        ),
        "/more/words.xml": "<words>from afar</words>",
    }
    seen = told(Xslt(site, processing_instruction=True), "/a/feed")
    assert (seen.status, seen.body) == (200, b"from afar")
    assert seen.headers["content-type"] == "text/x-base; charset=UTF-8"


@pytest.mark.parametrize(
    "href",
    ["http://other.example/rss.xsl", "//other.example/rss.xsl", "file:///etc/passwd", "data:,x", "#id"],
)
def test_a_stylesheet_elsewhere_is_left_to_the_client(told: Any, href: str) -> None:
    site = Site(feed=feed(href))
    seen = told(Xslt(site, processing_instruction=True), "/feed")
    assert (seen.status, seen.body.decode()) == (200, feed(href))
    assert site.paths() == ["/feed"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "/rss.xsl was answered with 404 Not Found"),
        ("<broken", "'/rss.xsl' is not a valid stylesheet: "),
        ("x" * (1 << 20) + "x", "/rss.xsl is longer than 1 MiB"),
        (stylesheet('<xsl:import href="http://other.example/a.xsl"/>'), "is on another host"),
        (stylesheet('<xsl:import href="file:///etc/passwd"/>'), "is on another host"),
        (stylesheet('<xsl:import href="/none.xsl"/>'), "/none.xsl was answered with 404 Not Found"),
        (stylesheet('<xsl:import href="/rss.xsl"/>'), "'/rss.xsl' is not a valid stylesheet: "),
        (stylesheet(root("<xsl:value-of select=\"document('http://o/x')\"/>")), "is on another host"),
    ],
)
def test_a_stylesheet_that_cannot_be_used_is_an_error_or_passes(
    told: Any, capfd: pytest.CaptureFixture[str], text: str | None, reason: str
) -> None:
    site = Site(feed=feed("/rss.xsl"))
    if text is not None:
        site.documents["/rss.xsl"] = text
    assert told(Xslt(site, processing_instruction=True), "/feed").status == 500
    assert reason in capfd.readouterr().err
    passing = told(Xslt(site, processing_instruction=True, on_error="pass"), "/feed")
    assert (passing.status, passing.body.decode()) == (200, feed("/rss.xsl"))


def test_a_stylesheet_is_compiled_once_and_revalidated(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(feed=feed("/rss.xsl"))
    site.documents["/rss.xsl"] = SHEET
    with serving(Xslt(site, processing_instruction=True)) as place:
        for _ in range(3):
            assert ask(place, "/feed").body == b"made of one"
    assert site.paths() == ["/feed", "/rss.xsl", "/feed", "/feed"]

    site.asked.clear()
    with serving(Xslt(site, processing_instruction=True, fetch_lifetime="1ms")) as place:
        assert ask(place, "/feed").body == b"made of one"
        assert ask(place, "/feed").body == b"made of one"
        assert site.asked[-1]["HTTP_IF_NONE_MATCH"] == f'"{hash(SHEET)}"'
        site.documents["/rss.xsl"] = stylesheet(TEXT + root("new"))
        assert ask(place, "/feed").body == b"new"
        # It stays as it was while it is wrong.
        site.documents["/rss.xsl"] = "<broken"
        assert ask(place, "/feed").body == b"new"
        del site.documents["/rss.xsl"]
        assert ask(place, "/feed").body == b"new"


def test_a_directory_comes_first_and_fetching_beside_it_is_an_option(told: Any, sheet: Any) -> None:
    folder = str(Path(sheet(TEXT + root("of the directory"), "rss.xsl")).parent)
    site = Site(feed=feed("/rss.xsl"), other_feed=feed("/other.xsl"))
    site.documents["/other.xsl"] = SHEET
    both = Xslt(site, processing_instruction=True, directory=folder, fetch=True)
    assert told(both, "/feed").body == b"of the directory"
    assert told(both, "/other_feed").body == b"made of one"
    alone = Xslt(site, processing_instruction=True, directory=folder)
    assert told(alone, "/other_feed").body.decode() == feed("/other.xsl")


def test_below_a_mount_point_the_stylesheet_lies_there_too(
    told: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    site = Site(feed=feed("rss.xsl"), far_feed=feed("/rss.xsl"))
    site.documents["/rss.xsl"] = SHEET
    app = Mount({"/my blog": Xslt(site, processing_instruction=True)})
    path = "/my%20blog/feed"
    seen = told(app, path)
    if seen.status == 404:
        seen = told(app, unquote(path))
    assert seen.body == b"made of one"
    with serving(app) as place:
        assert ask(place, "/my%20blog/far_feed").status == 500
    assert "/rss.xsl is outside of the mount point /my blog; " in capfd.readouterr().err
    # Around the mount all of it is in reach.
    around = Xslt(Mount({"/": site, "/blog": Site(feed=feed("/rss.xsl"))}), processing_instruction=True)
    assert told(around, "/blog/feed").body == b"made of one"


def test_nested_layers_do_not_transform_each_others_stylesheets(told: Any) -> None:
    site = Site(feed=feed("/rss.xsl"))
    # A stylesheet that itself names one.
    site.documents["/rss.xsl"] = f'<?xml-stylesheet type="text/xsl" href="/rss.xsl"?>{SHEET}'
    inner = Xslt(site, processing_instruction=True, match={"path": "/rss.xsl"})
    assert told(Xslt(inner, processing_instruction=True), "/feed").body == b"made of one"


# Browsers alone.


@pytest.mark.parametrize(
    "media_type", ["application/rss+xml", "application/atom+xml", "text/xml", "application/xml"]
)
@pytest.mark.parametrize(
    ("accept", "transformed"),
    [
        (BROWSER, True),
        ("text/html", True),
        (READER, False),
        ("*/*", False),
        (None, False),
        ("text/xml, text/html", False),
    ],
)
def test_only_browsers_get_html(told: Any, media_type: str, accept: str | None, transformed: bool) -> None:
    site = Site(feed=feed("/rss.xsl"))
    site.documents["/rss.xsl"] = SHEET
    site.types["/feed"] = media_type
    layer = Xslt(site, processing_instruction=True, only_browsers=True)
    headers = [("Accept", accept)] if accept else []
    if accept == "text/xml, text/html" and media_type != "text/xml":
        transformed = True
    seen = told(layer, "/feed", headers=headers)
    assert seen.headers["vary"].lower() == "accept"
    assert (seen.body == b"made of one") is transformed
    if not transformed:
        assert (seen.body.decode(), seen.headers["content-type"]) == (feed("/rss.xsl"), media_type)
        assert "etag" in seen.headers


def test_html_is_themed_for_everybody(told: Any, sheet: Any) -> None:
    site = Site(page="<p>x")
    site.types["/page"] = "text/html"
    layer = Xslt(site, sheet=sheet(BARE + root("<b/>")), types=["text/html"], only_browsers=True)
    seen = told(layer, "/page", headers=[("Accept", "*/*")])
    assert (seen.body.strip(), "vary" in seen.headers) == (b"<b/>", False)


def test_not_modified_depends_on_accept_too(told: Any) -> None:
    site = Site(feed=feed("/rss.xsl"))
    layer = Xslt(site, processing_instruction=True, only_browsers=True)
    tag = f'"{hash(feed("/rss.xsl"))}"'
    seen = told(layer, "/feed", headers=[("If-None-Match", tag), ("Accept", READER)])
    assert (seen.status, seen.headers["vary"].lower()) == (304, "accept")
