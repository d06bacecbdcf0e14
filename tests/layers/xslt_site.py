"""A site whose documents name their stylesheets: RSS and Atom feeds, an OAI-PMH response, a sitemap."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onionskin import StaticFiles, Xslt
from support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = Path(__file__).parent / "xslt_sites"


@dataclass(frozen=True)
class Document:
    """A document of a site, and its stylesheet."""

    path: str
    media_type: str
    name: str
    sheet: str

    @property
    def source(self) -> bytes:
        """As the application sends it."""
        return (FOLDER / self.name).read_bytes()

    def by_xsltproc(self) -> bytes:
        """What xsltproc makes of it."""
        command = [program("xsltproc"), "--nonet", str(FOLDER / self.sheet), str(FOLDER / self.name)]
        return subprocess.run(command, check=True, capture_output=True).stdout


DOCUMENTS = {
    "RSS": Document("/feed.xml", "application/rss+xml; charset=utf-8", "rss.xml", "rss.xsl"),
    "Atom": Document("/static/atom.xml", "application/atom+xml", "atom.xml", "atom.xsl"),
    "OAI-PMH": Document("/oai", "text/xml;charset=UTF-8", "oai.xml", "oai2.xsl"),
    "sitemap": Document("/static/sitemap.xml", "application/xml", "sitemap.xml", "sitemap.xsl"),
}


def site(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serves the documents, and what xsltproc makes of them."""
    path = environ["PATH_INFO"]
    for document in DOCUMENTS.values():
        if path == document.path:
            start_response("200 OK", [("Content-Type", document.media_type)])
            return [document.source]
        if path == f"/by-xsltproc{document.path}":
            start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
            return [document.by_xsltproc()]
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b""]


application = Xslt(
    StaticFiles(site, root=str(FOLDER), prefix="/static"), processing_instruction=True, only_browsers=True
)
