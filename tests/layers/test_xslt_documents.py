"""Xslt: which documents are read, in which encoding, and that none is cut short without an error."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from layers.xslt_sheets import BARE, IDENTITY, TEXT, XML, assert_refused, root, sending
from onionskin import Xslt
from support.wsgi import make_environ, run

if TYPE_CHECKING:
    from collections.abc import Iterable

HTML = ("Content-Type", "text/html; charset=utf-8")
BODY = '<xsl:output method="xml" omit-xml-declaration="yes"/>' + root('<xsl:copy-of select="//body"/>')


# Responses without a document.


@pytest.mark.parametrize(
    "body", ["", " \n\t", "<!-- moved -->", "<!DOCTYPE html>", "<!DOCTYPE html><!--x-->"]
)
def test_a_response_without_a_document_passes_untouched(told: Any, sheet: Any, body: str) -> None:
    layer = Xslt(sheet=sheet(IDENTITY), types=["text/html"])
    for status, name, value in [
        ("302 Found", "Location", "/new"),
        ("401 Unauthorized", "WWW-Authenticate", 'Basic realm="x"'),
    ]:
        seen = told(layer(sending(body, HTML, (name, value), ("ETag", '"1"'), status=status)))
        assert (seen.status, seen.log) == (int(status[:3]), "")
        assert (seen.body.decode(), seen.headers[name.lower()], seen.headers["etag"]) == (body, value, '"1"')
        assert seen.headers["content-type"] == HTML[1]


def test_an_empty_xml_response_passes_untouched(told: Any, sheet: Any) -> None:
    layer = Xslt(sheet=sheet(IDENTITY))
    seen = told(layer(sending("", XML, ("Location", "/new"), status="303 See Other")))
    assert (seen.status, seen.headers["location"], seen.body, seen.log) == (303, "/new", b"", "")


# Limits of the parser.

MEBIBYTES = "x" * (11 << 20)
TOO_MUCH = {
    "deep": "<div>" * 300 + "deep" + "</div>" * 300 + "<p>after",
    "text": f"<p>{MEBIBYTES}</p><p>after",
    "an attribute": f'<p title="{MEBIBYTES}">in</p><p>after',
    "a comment": f"<p>before<!--{MEBIBYTES}--><p>after",
    "a comment alone": f"<!--{MEBIBYTES}-->",
    "a script": f"<script>{MEBIBYTES}</script><p>after",
    "a doctype": f'<!DOCTYPE html SYSTEM "{MEBIBYTES}"><p>after',
}


@pytest.mark.parametrize("page", TOO_MUCH.values(), ids=list(TOO_MUCH))
def test_html_beyond_the_limits_of_the_parser_is_an_error_or_passes_whole(
    told: Any, sheet: Any, page: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = sheet(IDENTITY)
    layer = Xslt(sheet=path, types=["text/html"], max_input="20MiB")
    seen = told(layer(sending(page, HTML)))
    assert seen.status == 500
    assert "the document cannot be read whole: " in capfd.readouterr().err

    passing = Xslt(sheet=path, types=["text/html"], max_input="20MiB", on_error="pass")
    seen = told(passing(sending(page, HTML, ("ETag", '"1"'))))
    assert (seen.status, seen.headers["etag"]) == (200, '"1"')
    assert seen.body == page.encode()


@pytest.mark.parametrize(
    "document",
    [
        "<a>" * 300 + "</a>" * 300,
        f"<a>{MEBIBYTES}</a>",
        f'<a b="{MEBIBYTES}"/>',
        f"<a><!--{MEBIBYTES}--></a>",
        f"<a><![CDATA[{MEBIBYTES}]]></a>",
        "<!DOCTYPE html PUBLIC '-//W3C//DTD XHTML 1.0' 'x.dtd'><a>&nbsp;</a>",
    ],
    ids=["deep", "text", "attribute", "comment", "cdata", "an entity of a DTD that is not loaded"],
)
def test_xml_beyond_the_limits_of_the_parser_is_an_error(told: Any, sheet: Any, document: str) -> None:
    assert_refused(told, Xslt(sheet=sheet(IDENTITY), max_input="20MiB"), document)


def test_html_of_many_elements_is_whole(told: Any, sheet: Any) -> None:
    layer = Xslt(sheet=sheet(TEXT + root('<xsl:value-of select="count(//p)"/>')), types=["text/html"])
    page = "<div>" * 200 + f"<p>{'x' * 9_000_000}" + "<p>x" * 100_000
    assert told(layer(sending(page, HTML))).body == b"100001"


# Content after the end of the body.


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<html><body>a</body></html><p>b</p>tail", "<body>a<p>b</p>tail</body>"),
        ("<html><body>a</body></html>text", "<body>atext</body>"),
        ("<html><body>a</body>between<i>x</i></html><p>b", "<body>abetween<i>x</i><p>b</p></body>"),
        ("<body><b>a</b></body> t <b>d</b> e", "<body><b>a</b> t <b>d</b> e</body>"),
        ("<p>b</p></html> t", "<body><p>b</p>t</body>"),
        ("<body>a</body></html><body class=x>b</body></html>c", "<body>abc</body>"),
        ("<title>t</title></head></html><p>b", "<body><p>b</p></body>"),
        ("<html><frameset><frame></frameset></html><p>b", ""),
        ("<p>only", "<body><p>only</p></body>"),
    ],
)
def test_content_after_the_end_belongs_to_the_body(told: Any, sheet: Any, page: str, expected: str) -> None:
    layer = Xslt(sheet=sheet(BODY), types=["text/html"])
    seen = told(layer(sending(page, HTML)))
    assert (seen.status, seen.body.decode().strip()) == (200, expected)


# Encodings.


@pytest.mark.parametrize(
    ("label", "sent", "expected"),
    [
        ("iso-8859-1", b"\x80\x93\xe9", "\u20ac\u201c\xe9"),
        ("latin1", b"\x9f", "\u0178"),
        ("US-ASCII", b"\xe9", "\xe9"),
        ("x-sjis", b"\x82\xa0", "\u3042"),
        ("gb2312", b"\x81\x30\x81\x30", "\x80"),
        ("klingon", "\xe9".encode(), "\xe9"),
        ("unicode-1-1-utf-8", "\xe9".encode(), "\xe9"),
        ("iso-8859-1", b"\xef\xbb\xbf\xc3\xa9", "\xe9"),
    ],
)
@pytest.mark.parametrize("media_type", ["text/html", "text/xml"])
def test_a_label_means_what_the_encoding_standard_says(
    told: Any, sheet: Any, media_type: str, label: str, sent: bytes, expected: str
) -> None:
    layer = Xslt(sheet=sheet(TEXT + root('<xsl:value-of select="//p"/>')), types=["text/html", "text/xml"])
    mark, text = (sent[:3], sent[3:]) if sent.startswith(b"\xef\xbb\xbf") else (b"", sent)
    page = mark + b"<p>" + text + b"</p>"
    seen = told(layer(sending(page, ("Content-Type", f"{media_type}; charset={label}"))))
    assert (seen.status, seen.body.decode()) == (200, expected)


def test_a_document_declares_its_encoding_itself(told: Any, sheet: Any) -> None:
    layer = Xslt(sheet=sheet(TEXT + root('<xsl:value-of select="//p"/>')), types=["text/html", "text/xml"])
    page = b"<meta charset=iso-8859-1><p>\x80</p>"
    assert told(layer(sending(page, ("Content-Type", "text/html")))).body.decode() == "\u20ac"
    document = b"<?xml version='1.0' encoding='iso-8859-1'?><p>\x80</p>"
    assert told(layer(sending(document, ("Content-Type", "text/xml")))).body.decode() == "\u20ac"
    wide = "<?xml version='1.0' encoding='utf-16'?><p>\u20ac</p>".encode("utf-16")
    assert told(layer(sending(wide, ("Content-Type", "text/xml")))).body.decode() == "\u20ac"
    # Not in the Encoding standard, but libxml2 knows it.
    wider = "<p>\u20ac</p>".encode("utf-32")
    assert told(layer(sending(wider, ("Content-Type", "text/xml")))).body.decode() == "\u20ac"


def test_the_default_charset_is_an_option(told: Any, sheet: Any) -> None:
    path = sheet(TEXT + root('<xsl:value-of select="//p"/>'))
    page = sending(b"<p>\xc1</p>", ("Content-Type", "text/html"))
    assert told(Xslt(sheet=path, types=["text/html"])(page)).body.decode() == "\xc1"
    layer = Xslt(sheet=path, types=["text/html"], default_charset="koi8-r")
    assert told(layer(page)).body.decode() == "\u0430"


def test_invalid_bytes_in_xml_are_an_error(told: Any, sheet: Any, capfd: pytest.CaptureFixture[str]) -> None:
    seen = told(Xslt(sheet=sheet(IDENTITY))(sending(b"<a>\xff</a>")))
    assert seen.status == 500
    assert "the document has bytes that are invalid in UTF-8" in capfd.readouterr().err


# The log.


def reason(layer: Any, document: str, capfd: pytest.CaptureFixture[str]) -> str:
    capfd.readouterr()
    run(layer(sending(document)))
    return capfd.readouterr().err.removeprefix("onionskin: xslt: ").partition(" on GET /")[0]


def test_the_log_has_the_reason_of_this_document_alone(sheet: Any, capfd: pytest.CaptureFixture[str]) -> None:
    inside = root(
        '<xsl:if test="/a/@said"><xsl:message terminate="yes">said <xsl:value-of select="/a/@said"/>'
        '</xsl:message></xsl:if><xsl:if test="/a/@silent"><xsl:message terminate="yes"/></xsl:if>'
        '<xsl:if test="/a/@read"><xsl:value-of select="document(string(/a/@read))"/></xsl:if><b/>'
    )
    layer = Xslt(sheet=sheet(BARE + inside, **{"bad.xml": "<bad>"}), threads=1)
    documents = ['<a said="1"/>', '<a silent="1"/>', '<a read="bad.xml"/>', '<a said="2"/>', "<a>"]
    alone = {document: reason(layer, document, capfd) for document in documents}
    assert alone['<a said="2"/>'] == "the stylesheet failed: said 2"
    for before in documents:
        for document in documents:
            reason(layer, before, capfd)
            assert reason(layer, document, capfd) == alone[document]


def test_threads_do_not_mix_their_reasons(sheet: Any, capfd: pytest.CaptureFixture[str]) -> None:
    message = root('<xsl:message terminate="yes">said <xsl:value-of select="/a"/></xsl:message>')

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [XML])
        return [f"<a>{environ['PATH_INFO']}</a>".encode()]

    # Through the outward door, which logs every line: our server counts those of one kind.
    layered = Xslt(sheet=sheet(message), threads=8)(app)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: run(layered, make_environ(f"/{n}")), range(200)))
    lines = [line for line in capfd.readouterr().err.splitlines() if "said" in line]
    wrong = [
        line
        for line in lines
        if line.split(" said ")[1].split(" on ")[0] != line.split(" on GET ")[1].split()[0]
    ]
    assert (len(lines), wrong) == (200, [])
