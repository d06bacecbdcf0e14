"""10 KB of HTML under a theme: by Xslt, by Diazo's middleware, and as it is."""

from pathlib import Path

from diazo.wsgi import XSLTMiddleware

from onionskin import Xslt

SHEET = str(Path(__file__).with_name("theme.xsl"))
ITEM = (
    '<li class="product" id="p{0}"><h2><a href="/p/{0}">Onion {0}</a></h2><p class="by">layer {0}</p></li>\n'
)
ITEMS = "".join(map(ITEM.format, range(105)))
PAGE = f"<!doctype html><html><head><title>Onions</title></head><body><ul>{ITEMS}</ul></body></html>".encode()


def plain(environ, start_response):
    """The page."""
    start_response(
        "200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(PAGE)))]
    )
    return [PAGE]


ours = Xslt(plain, SHEET, types=["text/html"])
diazo = XSLTMiddleware(plain, {}, filename=SHEET)
