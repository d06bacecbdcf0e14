"""Xslt: what a stylesheet or a document may not read, write or blow up."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from layers.xslt_sheets import TEXT, XSL, assert_refused, root, sending, stylesheet
from onionskin import Xslt

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file beside the folder of the stylesheets."""
    path = tmp_path / "secret.xml"
    path.write_text("<s>swordfish</s>")
    return path


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that nobody is to connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("where", ["{}", "file://{}", "../secret.xml", "link.xml", "sub/../../secret.xml"])
def test_a_stylesheet_reads_nothing_outside_of_its_folder(
    told: Any, sheet: Any, secret: Path, where: str
) -> None:
    path = sheet(TEXT + root('<xsl:value-of select="document(a)"/>'), **{"sub/x": ""})
    (Path(path).parent / "link.xml").symlink_to(secret)
    assert_refused(told, Xslt(sheet=path), f"<a>{where.format(secret)}</a>")


@pytest.mark.parametrize("scheme", ["http", "ftp", "https"])
def test_a_stylesheet_reads_nothing_from_a_network(
    told: Any, sheet: Any, listener: socket.socket, scheme: str
) -> None:
    layer = Xslt(sheet=sheet(TEXT + root('<xsl:value-of select="document(a)"/>')))
    assert_refused(told, layer, f"<a>{scheme}://127.0.0.1:{listener.getsockname()[1]}/x</a>")


@pytest.mark.parametrize(
    ("namespace", "element"),
    [
        ("http://exslt.org/common", '<e:document href="{}">x</e:document>'),
        ("http://www.jclark.com/xt", '<e:document href="{}">x</e:document>'),
        ("http://icl.com/saxon", '<e:output href="{}">x</e:output>'),
        ("org.apache.xalan.xslt.extensions.Redirect", "<e:write select=\"'{}'\">x</e:write>"),
        ("http://www.w3.org/1999/XSL/Transform", '<e:document href="{}">x</e:document>'),
    ],
)
def test_a_stylesheet_writes_nothing(told: Any, tmp_path: Path, namespace: str, element: str) -> None:
    written = tmp_path / "written.txt"
    inside = root(f"<a>{element.format(written)}</a>")
    path = tmp_path / "sheet.xsl"
    path.write_text(
        f'<xsl:stylesheet version="1.0" {XSL} xmlns:e="{namespace}" extension-element-prefixes="e">'
        f"{inside}</xsl:stylesheet>"
    )
    assert_refused(told, Xslt(sheet=str(path)), "<a/>")
    assert not written.exists()


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMBS = {
    "billion laughs": f'<!DOCTYPE a [<!ENTITY l0 "lol">{LAUGHS}]><a>&l9;</a>',
    "billion laughs in an attribute": f'<!DOCTYPE a [<!ENTITY l0 "lol">{LAUGHS}]><a b="&l9;"/>',
    "quadratic": f'<!DOCTYPE a [<!ENTITY q "{"q" * 100_000}">]><a>{"&q;" * 20_000}</a>',
    "parameter entities": '<!DOCTYPE a [<!ENTITY % p "&#37;p;&#37;p;">%p;]><a>&p;</a>',
    "an entity of itself": "<!DOCTYPE a [<!ENTITY a '&b;'><!ENTITY b '&a;'>]><a>&a;</a>",
    "too deep": "<a>" * 100_000 + "</a>" * 100_000,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=list(BOMBS))
def test_a_bomb_is_refused_before_it_goes_off(told: Any, sheet: Any, bomb: str) -> None:
    layer = Xslt(sheet=sheet(TEXT + root('<xsl:value-of select="."/>')))
    began = time.monotonic()
    assert_refused(told, layer, bomb)
    assert time.monotonic() - began < 5
    assert told(layer(sending("<a>fine</a>"))).body == b"fine"


def test_an_external_entity_is_never_loaded(
    told: Any, sheet: Any, secret: Path, listener: socket.socket
) -> None:
    layer = Xslt(sheet=sheet(TEXT + root('<xsl:value-of select="."/>')))
    away = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    for system in (str(secret), secret.as_uri(), away):
        assert_refused(told, layer, f'<!DOCTYPE a [<!ENTITY e SYSTEM "{system}">]><a>&e;</a>')
        assert_refused(told, layer, f'<!DOCTYPE a [<!ENTITY % e SYSTEM "{system}">%e;]><a>&x;</a>')
        seen = told(layer(sending(f'<!DOCTYPE a SYSTEM "{system}"><a>x</a>')))
        assert (seen.status, seen.body) == (200, b"x")


def test_what_document_reads_loads_nothing_either(told: Any, sheet: Any, secret: Path) -> None:
    entity = f'<!DOCTYPE d [<!ENTITY e SYSTEM "{secret}">]><d>&e;</d>'
    path = sheet(TEXT + root("<xsl:value-of select=\"document('d.xml')\"/>"), **{"d.xml": entity})
    assert b"swordfish" not in told(Xslt(sheet=path)(sending("<a/>"))).body


def test_a_document_names_no_stylesheet_outside_of_the_directory(
    told: Any, sheet: Any, tmp_path: Path
) -> None:
    folder = Path(sheet("")).parent
    (tmp_path / "outside.xsl").write_text(stylesheet(root("outside")))
    (folder / "link.xsl").symlink_to(tmp_path / "outside.xsl")
    layer = Xslt(directory=str(folder), processing_instruction=True)
    for href in ("../outside.xsl", "link.xsl", "%2e%2e/outside.xsl", str(tmp_path / "outside.xsl")):
        document = f'<?xml-stylesheet type="text/xsl" href="{href}"?><a/>'
        assert told(layer(sending(document))).body.decode() == document
