"""Stylesheets, by lxml: what the layer ``Xslt`` calls. Importing it takes the extra ``onionskin[xslt]``."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

XSL = "{http://www.w3.org/1999/XSL/Transform}"

ACCESS = etree.XSLTAccessControl(
    read_file=True,  # And then `Within` decides.
    read_network=False,
    write_file=False,
    write_network=False,
    create_dir=False,
)


class Refused(Exception):
    """Something that cannot be, with the reason in one line."""


class Chain:
    """Stylesheets of which each is applied to what the one before it gave; for several threads at once."""

    def __init__(self, paths: list[str], directory: str | None) -> None:
        self.files: list[str] = []
        self._sheets = [self._compile(Path(path), directory) for path in paths]
        output = output_of(Path(paths[-1]).resolve())
        self._charset = charset_of(output)
        self.media_type = output.get("media-type") or MEDIA_TYPES.get(output.get("method", ""))

    def _compile(self, path: Path, directory: str | None) -> Any:
        path = path.resolve()
        within = Within(Path(directory).resolve() if directory else path.parent, self.files)
        parser = xml_parser()
        parser.resolvers.add(within)
        try:
            tree = etree.fromstring(within.read(str(path)), parser, base_url=str(path))
            return etree.XSLT(tree, access_control=ACCESS, regexp=False)
        except (etree.XMLSyntaxError, etree.XSLTParseError) as error:
            raise Refused(f"{str(path)!r} is no stylesheet: {reason_of(error)}") from error

    def apply(
        self, document: bytes, is_html: bool, charset: str | None, parameters: dict[str, str]
    ) -> tuple[bytes, str, str]:
        """What the document becomes: the bytes, their media type and their charset."""
        tree = parsed(document, is_html, charset)
        quoted = {name: etree.XSLT.strparam(text) for name, text in parameters.items()}
        for sheet in self._sheets:
            try:
                tree = sheet(tree, **quoted)
            except (etree.XSLTApplyError, etree.XMLSyntaxError, ValueError) as error:
                raise Refused(f"the stylesheet failed: {reason_of(error)}") from error
        return bytes(tree), self.media_type or media_type_of(tree), self._charset


class Within(etree.Resolver):  # type: ignore[misc]
    """Reads files of one directory, for ``xsl:import``, ``xsl:include`` and ``document()``."""

    def __init__(self, directory: Path, paths: list[str]) -> None:
        super().__init__()
        self._directory = directory
        self._paths = paths

    def read(self, url: str) -> bytes:
        """What the file at ``url`` has; its path is remembered."""
        path = Path(url.removeprefix("file://")).resolve()
        if not path.is_relative_to(self._directory):
            raise Refused(f"{url!r} lies outside of {str(self._directory)!r}")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise Refused(f"{str(path)!r} cannot be read: {error.strerror}") from error
        if str(path) not in self._paths:
            self._paths.append(str(path))
        return content

    def resolve(self, url: str, public_id: str | None, context: Any) -> Any:
        """Called by lxml for whatever a stylesheet wants to load."""
        return self.resolve_string(self.read(url), context, base_url=url)


def xml_parser(charset: str | None = None) -> Any:
    """A parser that loads nothing, and expands what a document declares itself within libxml2's limits."""
    return etree.XMLParser(
        encoding=charset, resolve_entities="internal", no_network=True, load_dtd=False, huge_tree=False
    )


def parsed(document: bytes, is_html: bool, charset: str | None) -> Any:
    """The document as a tree."""
    try:
        if is_html:
            parser = etree.HTMLParser(encoding=charset, no_network=True, huge_tree=False)
        else:
            parser = xml_parser(charset)
        return etree.fromstring(document, parser).getroottree()
    except (etree.XMLSyntaxError, LookupError, AttributeError) as error:
        raise Refused(f"the document cannot be read: {reason_of(error)}") from error


def output_of(path: Path) -> dict[str, str]:
    """The attributes of all ``xsl:output`` elements (XSLT 1.0 section 16): what imports say counts less."""
    imported, own = outputs(path, set())
    return {**imported, **own}


def outputs(path: Path, above: set[Path]) -> tuple[dict[str, str], dict[str, str]]:
    """The attributes of ``xsl:output`` in what a sheet imports, and in itself and what it includes."""
    imported: dict[str, str] = {}
    own: dict[str, str] = {}
    if path in above:
        return imported, own
    for element in etree.parse(str(path), xml_parser()).getroot():
        if element.tag in (XSL + "import", XSL + "include"):
            lower, same = outputs((path.parent / element.get("href", "")).resolve(), {path, *above})
            imported.update(lower)
            (own if element.tag == XSL + "include" else imported).update(same)
        elif element.tag == XSL + "output":
            own.update(element.attrib)
    return imported, own


def charset_of(output: dict[str, str]) -> str:
    """The encoding that libxslt writes."""
    charset = output.get("encoding", "UTF-8")
    try:
        codecs.lookup(charset)
        etree.tostring(etree.Element("a"), encoding=charset)
    except LookupError as error:
        raise Refused(f"encoding={charset!r} of xsl:output is not known; write encoding='UTF-8'") from error
    return charset


def media_type_of(tree: Any) -> str:
    """The media type of a result whose stylesheet leaves the method open (XSLT 1.0 section 16)."""
    root = tree.getroot()
    is_html = root is not None and isinstance(root.tag, str) and root.tag.lower() == "html"
    return MEDIA_TYPES["html" if is_html else "xml"]


MEDIA_TYPES = {"html": "text/html", "text": "text/plain", "xml": "text/xml", "xhtml": "application/xhtml+xml"}


def reason_of(error: Exception) -> str:
    """What an exception says, in one line, with what libxslt says before it."""
    log = [entry.message for entry in getattr(error, "error_log", ())]
    text = "; ".join(dict.fromkeys([*log, str(error)][:LINES]))
    return " ".join(text.split()) or type(error).__name__


LINES = 3
