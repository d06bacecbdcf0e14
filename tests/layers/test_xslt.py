"""Xslt: responses become what stylesheets say, and nothing gets in or out by them."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from layers.xslt_cases import CASES, Case
from layers.xslt_sheets import BARE, IDENTITY, TEXT, XML, assert_refused, root, sending, stylesheet
from onionskin import ConfigurationError, Errors, Xslt
from onionskin._core import layer_from_text
from support.both_doors import serving
from support.client import ask
from support.wsgi import run

if TYPE_CHECKING:
    from collections.abc import Iterable


# The language.


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_stylesheet_makes_of_a_document_what_it_says(told: Any, tmp_path: Path, case: Case) -> None:
    for name, text in {**case.files, "sheet.xsl": case.stylesheet}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    layer = Xslt(sheet=str(tmp_path / "sheet.xsl"), parameters=case.parameters)

    seen = told(layer(sending(case.document)))

    assert (seen.status, seen.log) == (200, "")
    assert seen.body.decode(case.encoding).rstrip("\n") == case.expected.rstrip("\n")
    assert seen.headers["content-type"] == case.media_type
    assert int(seen.headers["content-length"]) == len(seen.body)


def test_a_document_may_come_in_pieces(told: Any, sheet: Any) -> None:
    layer = Xslt(sheet=sheet(BARE + IDENTITY))
    assert told(layer(sending("<a>one two three</a>", step=3))).body.strip() == b"<a>one two three</a>"


def test_a_charset_of_the_head_counts_before_the_documents_own(told: Any, sheet: Any) -> None:
    layer = Xslt(sheet=sheet(TEXT + root('<xsl:value-of select="."/>')))
    document = "<?xml version='1.0' encoding='UTF-8'?><a>\xe9</a>".encode("latin-1")
    seen = told(layer(sending(document, ("Content-Type", 'text/xml; Charset="ISO-8859-1"'))))
    assert seen.body.decode() == "\xe9"


def test_html_is_read_as_browsers_read_it(told: Any, sheet: Any) -> None:
    theme = '<xsl:output indent="no"/>' + root(
        '<html><h1><xsl:value-of select="//title"/></h1><xsl:copy-of select="//p"/></html>'
    )
    layer = Xslt(sheet=sheet(theme), types=["text/html"])
    page = "<title>A &amp; B</title><p>one<br>\xe9&nbsp;<p class=x>two"
    seen = told(layer(sending(page, ("Content-Type", "text/html; charset=utf-8"))))
    assert seen.headers["content-type"] == "text/html; charset=UTF-8"
    assert seen.body.decode().split("\n")[0] == (
        '<html><h1>A &amp; B</h1><p>one<br>\xe9&nbsp;</p><p class="x">two</p></html>'
    ).replace("&nbsp;", "\xa0")


def test_a_chain_and_a_name_of_the_documents_own(told: Any, sheet: Any) -> None:
    first = sheet(root('<b><xsl:value-of select="a"/></b>'), "first.xsl")
    sheet(BARE + root('<c><xsl:value-of select="b"/></c>'), "second.xsl")
    folder = str(Path(first).parent)
    layer = Xslt(directory=folder, sheet=["first.xsl", "second.xsl"], processing_instruction=True)
    assert told(layer(sending("<a>x</a>"))).body.strip() == b"<c>x</c>"
    own = '<?xml-stylesheet href="/second.xsl" type="text/xsl"?><b>y</b>'
    assert told(layer(sending(own))).body.strip() == b"<c>y</c>"


def test_a_chain_that_makes_no_document_in_between_is_an_error(told: Any, sheet: Any) -> None:
    chain = [sheet(TEXT + root("text"), "first.xsl"), sheet(IDENTITY, "second.xsl")]
    assert told(Xslt(sheet=chain)(sending("<a/>"))).status == 500


def test_an_answer_to_head_has_no_length_and_the_media_type(told: Any, sheet: Any) -> None:
    layer = Xslt(sheet=sheet(TEXT + root("x")))
    seen = told(layer(sending("", XML, ("Content-Length", "4"), ("ETag", '"1"'))), method="HEAD")
    assert (seen.body, seen.headers["content-type"], "etag" in seen.headers) == (b"", "text/plain", False)
    assert "content-length" not in seen.headers


def test_on_the_command_line_the_simple_case_is_simple(told: Any, sheet: Any) -> None:
    path = sheet(TEXT + '<xsl:param name="who"/>' + root('<xsl:value-of select="$who"/>'))
    layer = layer_from_text(f"xslt:sheet={path},parameters.who=me")
    assert told(layer(sending("<a/>"))).body == b"me"


# Start-up.


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("<xsl:stylesheet", "is not a valid stylesheet: "),
        ("<a/>", "is not a valid stylesheet: "),
        (stylesheet(root("<xsl:value-of/>")), "is not a valid stylesheet: "),
        (stylesheet('<xsl:import href="none.xsl"/>'), "none.xsl' cannot be read: No such file or directory"),
        (stylesheet('<xsl:import href="../out.xsl"/>'), "out.xsl' lies outside of "),
        (stylesheet('<xsl:include href="file:///etc/passwd"/>'), "'file:///etc/passwd' lies outside of "),
        (
            stylesheet('<xsl:import href="http://127.0.0.1:9/a.xsl"/>'),
            "'http://127.0.0.1:9/a.xsl' lies outside",
        ),
        (stylesheet('<xsl:output encoding="klingon"/>'), "encoding='klingon' of xsl:output is not known; "),
    ],
)
def test_a_stylesheet_that_will_not_do_is_refused_at_start_up(
    tmp_path: Path, text: str, refusal: str
) -> None:
    (tmp_path / "sheets").mkdir()
    (tmp_path / "out.xsl").write_text(stylesheet(""))
    path = tmp_path / "sheets" / "sheet.xsl"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        Xslt(sheet=str(path))
    assert str(raised.value).startswith("xslt: sheet: ")
    assert refusal in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_stylesheet_outside_of_the_directory_is_refused_even_by_a_link(sheet: Any, tmp_path: Path) -> None:
    outside = tmp_path / "outside.xsl"
    outside.write_text(stylesheet(""))
    folder = Path(sheet("")).parent
    (folder / "link.xsl").symlink_to(outside)
    for path in ("../outside.xsl", str(outside), "link.xsl"):
        with pytest.raises(ConfigurationError, match="lies outside of"):
            Xslt(directory=str(folder), sheet=path)


def test_without_lxml_start_up_says_what_to_install(sheet: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "onionskin._xslt", raising=False)
    monkeypatch.setitem(sys.modules, "lxml", None)
    with pytest.raises(ConfigurationError, match=r"lxml.*pip install 'onionskin\[xslt\]'"):
        Xslt(sheet=sheet(""))


# Bounds.

RECURSION = {
    "by name": '<xsl:template name="r"><a><xsl:call-template name="r"/></a></xsl:template>'
    + root('<xsl:call-template name="r"/>'),
    "by match": root('<a><xsl:apply-templates select="/"/></a>'),
    "by loops": '<xsl:template name="r"><xsl:for-each select="/"><xsl:choose><xsl:when test="1">'
    '<xsl:call-template name="r"/></xsl:when></xsl:choose></xsl:for-each></xsl:template>'
    + root('<xsl:call-template name="r"/>'),
    "by variables": '<xsl:template name="r"><xsl:variable name="v"><xsl:call-template name="r"/>'
    "</xsl:variable>"
    '<xsl:copy-of select="$v"/></xsl:template>' + root('<xsl:call-template name="r"/>'),
}


@pytest.mark.parametrize("inside", RECURSION.values(), ids=list(RECURSION))
def test_recursion_without_an_end_is_an_error(sheet: Any, inside: str) -> None:
    """Through both doors; the servers are the same before and after."""
    layer = Xslt(sheet=sheet(inside), match={"path": "/deep"})
    app = layer(sending("<a/>"))
    with serving(app) as place:
        assert [ask(place, path).status for path in ("/deep", "/", "/deep", "/")] == [500, 200, 500, 200]
    assert run(app, None).status == "200 OK"


def test_what_is_too_long_is_an_error_or_passes(told: Any, sheet: Any) -> None:
    path = sheet(
        TEXT
        + root(
            '<xsl:for-each select="//b"><xsl:for-each select="//b">0123456789</xsl:for-each></xsl:for-each>'
        )
    )
    document = f"<a>{'<b/>' * 100}</a>"
    assert told(Xslt(sheet=path)(sending(document))).status == 200
    for options in ({"max_output": "64KiB"}, {"max_input": 100}):
        assert_refused(told, Xslt(sheet=path, **options), document)
        assert_refused(told, Xslt(sheet=path, **options), document)
        passing = Xslt(sheet=path, on_error="pass", **options)
        seen = told(passing(sending(document, XML, ("ETag", '"1"'), step=50)))
        assert (seen.body.decode(), seen.headers["etag"]) == (document, '"1"')


SLOW = (
    '<xsl:for-each select="//b"><xsl:for-each select="//b"><xsl:if test="count(//b) = 1">x</xsl:if>'
    "</xsl:for-each></xsl:for-each>"
)


def test_who_waits_too_long_is_answered_and_the_server_goes_on(sheet: Any) -> None:
    layer = Xslt(sheet=sheet(TEXT + root(SLOW)), timeout="200ms", threads=1, match={"path": "/slow"})
    document = f"<a>{'<b/>' * 700}</a>"
    with serving(layer(sending(document))) as place:
        began = time.monotonic()
        assert ask(place, "/slow").status == 500
        assert time.monotonic() - began < 2
        busy = ask(place, "/slow")
        assert (busy.status, busy.get("Retry-After")) == (503, "1")
        assert ask(place, "/").body.decode() == document


def test_errors_words_what_xslt_could_not_do(told: Any, sheet: Any) -> None:
    seen = told(Errors(Xslt(sheet=sheet(IDENTITY))(sending("<a>")), problem_json="always"))
    assert seen.details == {"type": "about:blank", "title": "Internal Server Error", "status": 500}


def test_the_log_has_the_reason(sheet: Any, capfd: pytest.CaptureFixture[str]) -> None:
    run(Xslt(sheet=sheet(root('<xsl:message terminate="yes">enough</xsl:message>')))(sending("<a/>")))
    assert "onionskin: xslt: the stylesheet failed: enough on GET /" in capfd.readouterr().err


class Fault(Exception):
    """The application's own."""


def failing(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [XML])
    yield b"<a>"
    raise Fault("in the middle")


def test_an_application_that_fails_in_the_middle_is_told_of_once(sheet: Any, told: Any) -> None:
    layer = Xslt(sheet=sheet(IDENTITY))
    seen = told(Errors(layer(failing)))
    assert (seen.status, seen.log.count("Fault: in the middle")) == (500, 1)
    with pytest.raises(Fault):
        run(layer(failing))


def test_an_application_that_starts_anew_while_its_document_is_taken_in_gets_its_exception(
    sheet: Any,
) -> None:
    caught: list[Exception] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [XML])
        yield b"<a>"
        try:
            raise Fault
        except Fault:
            try:
                start_response("500 Sorry", [XML], sys.exc_info())
            except Fault as fault:
                caught.append(fault)
        yield b"</a>"

    seen = run(Xslt(sheet=sheet(BARE + IDENTITY))(app))
    assert (seen.status, seen.body.strip(), len(caught)) == ("200 OK", b"<a/>", 1)


# Changes.


def test_a_changed_stylesheet_is_compiled_anew(sheet: Any) -> None:
    path = sheet(TEXT + '<xsl:include href="part.xsl"/>', **{"part.xsl": stylesheet(root("old"))})
    part = Path(path).parent / "part.xsl"
    app = Xslt(sheet=path)(sending("<a/>"))
    with serving(app) as place:
        assert ask(place).body == b"old"
        part.write_text(stylesheet(root("new")))
        os.utime(part, (1, 1))
        deadline = time.monotonic() + 10
        while ask(place).body != b"new":
            assert time.monotonic() < deadline, "the change was not seen"


def test_many_threads_use_one_stylesheet_at_once(sheet: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    layer = Xslt(sheet=sheet(TEXT + root('<xsl:value-of select="sum(//n)"/>')), threads=8)

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [XML])
        return [f"<a>{'<n>1</n>' * int(environ['QUERY_STRING'])}</a>".encode()]

    with serving(layer(app)) as place, ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda n: (n, ask(place, f"/?{n}").body), range(1, 200))
        assert [body for n, body in answers if body != str(n).encode()] == []
