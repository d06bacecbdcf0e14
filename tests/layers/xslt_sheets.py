"""What stylesheets in tests are made of, and applications that send documents for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

XSL = 'xmlns:xsl="http://www.w3.org/1999/XSL/Transform"'
ITEMS = "<list><item n='2'>beta</item><item n='10'>alpha</item><item n='1'>gamma</item></list>"
BARE = '<xsl:output omit-xml-declaration="yes"/>'
TEXT = '<xsl:output method="text"/>'
EXSLT = (
    'xmlns:exsl="http://exslt.org/common" xmlns:str="http://exslt.org/strings" '
    'xmlns:math="http://exslt.org/math" xmlns:set="http://exslt.org/sets" '
    'xmlns:func="http://exslt.org/functions" xmlns:date="http://exslt.org/dates-and-times" xmlns:my="urn:my" '
    'extension-element-prefixes="exsl str math set func date" exclude-result-prefixes="my"'
)
IDENTITY = (
    '<xsl:template match="@*|node()">'
    '<xsl:copy><xsl:apply-templates select="@*|node()"/></xsl:copy></xsl:template>'
)
XML = ("Content-Type", "application/xml")


def stylesheet(inside: str, attributes: str = "") -> str:
    """A stylesheet with these top-level elements."""
    return f'<xsl:stylesheet version="1.0" {XSL} {attributes}>{inside}</xsl:stylesheet>'


def root(body: str) -> str:
    """A template for the whole document."""
    return f'<xsl:template match="/">{body}</xsl:template>'


def sending(
    document: str | bytes, *headers: tuple[str, str], status: str = "200 OK", step: int = 0
) -> Callable[..., Iterable[bytes]]:
    """An application that sends this document, in pieces if there is a ``step``."""
    body = document.encode() if isinstance(document, str) else document

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response(status, list(headers) or [XML])
        if not step:
            return [body]
        return (body[start : start + step] for start in range(0, len(body), step))

    return app


def assert_refused(told: Any, layer: Any, document: str) -> None:
    """An error that tells nothing, and the next document is transformed as ever."""
    seen = told(layer(sending(document)))
    assert (seen.status, b"swordfish" in seen.body) == (500, False)
    assert seen.headers["content-type"].startswith("text/plain")
