"""Stylesheets, by lxml: what the layer ``Xslt`` calls. Importing it takes the extra ``onionskin[xslt]``."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from onionskin import _xslt_html
from onionskin._xslt_errors import Refused, lines_of, reason_of

XSL = "{http://www.w3.org/1999/XSL/Transform}"

ACCESS = etree.XSLTAccessControl(
    read_file=True,  # And then `Within` decides.
    read_network=False,
    write_file=False,
    write_network=False,
    create_dir=False,
)


class Chain:
    """Stylesheets, each applied to the result of the one before it; for several threads at once."""

    def __init__(self, paths: list[str], directory: str | None) -> None:
        self._contents: dict[str, bytes] = {}
        self._sources = [Source(Path(path).resolve(), directory, self._contents) for path in paths]
        # lxml keeps one log of messages for each of its objects, so every thread needs its own.
        self._idle = [self._compile()]
        self.files = list(self._contents)
        output = output_of(Path(paths[-1]).resolve())
        self._charset = charset_of(output)
        self.media_type = output.get("media-type") or MEDIA_TYPES.get(output.get("method", ""))

    def _compile(self) -> list[Any]:
        return [source.compile() for source in self._sources]

    def apply(
        self, document: bytes, is_html: bool, is_utf8: bool, parameters: dict[str, str]
    ) -> tuple[bytes, str, str] | None:
        """The result as bytes, its media type and its charset; None for a document without an element."""
        tree = _xslt_html.parsed(document) if is_html else parsed(document, is_utf8)
        if tree is None:
            return None
        try:
            sheets = self._idle.pop()
        except IndexError:
            sheets = self._compile()
        try:
            quoted = {name: etree.XSLT.strparam(text) for name, text in parameters.items()}
            for sheet in sheets:
                tree = transformed(sheet, tree, quoted)
            return bytes(tree), self.media_type or media_type_of(tree), self._charset
        finally:
            self._idle.append(sheets)


def transformed(sheet: Any, tree: Any, parameters: dict[str, Any]) -> Any:
    """The tree that a stylesheet makes of another."""
    # Otherwise exceptions come with the errors of earlier documents on this thread.
    etree.clear_error_log()
    try:
        return sheet(tree, **parameters)
    except etree.XSLTApplyError as error:
        # The message of the exception itself may be that of an earlier document.
        reason = lines_of(entry.message for entry in sheet.error_log)
        raise Refused(f"the stylesheet failed: {reason or 'it stopped without a message'}") from error
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Refused(f"the stylesheet failed: {reason_of(error)}") from error


class Source:
    """The file of a stylesheet."""

    def __init__(self, path: Path, directory: str | None, contents: dict[str, bytes]) -> None:
        self._path = str(path)
        self._directory = Path(directory).resolve() if directory else path.parent
        self._contents = contents

    def compile(self) -> Any:
        """The stylesheet, ready to be called on one thread at a time."""
        within = Within(self._directory, self._contents)
        parser = xml_parser()
        parser.resolvers.add(within)
        etree.clear_error_log()
        try:
            tree = etree.fromstring(within.read(self._path), parser, base_url=self._path)
            sheet = etree.XSLT(tree, access_control=ACCESS, regexp=False)
        except (etree.XMLSyntaxError, etree.XSLTParseError) as error:
            log = getattr(error, "error_log", ())
            raise Refused(f"{self._path!r} is not a valid stylesheet: {reason_of(error, log)}") from error
        within.contents = None
        return sheet


class Within(etree.Resolver):  # type: ignore[misc]
    """Reads files of one directory, for ``xsl:import``, ``xsl:include`` and ``document()``."""

    def __init__(self, directory: Path, contents: dict[str, bytes] | None) -> None:
        super().__init__()
        self._directory = directory
        self.contents = contents
        """The stylesheet's files as first read: all threads compile the same. None once it is compiled."""

    def read(self, url: str) -> bytes:
        """The content of the file at ``url``."""
        path = Path(url.removeprefix("file://")).resolve()
        if self.contents is not None and str(path) in self.contents:
            return self.contents[str(path)]
        if not path.is_relative_to(self._directory):
            raise Refused(f"{url!r} lies outside of {str(self._directory)!r}")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise Refused(f"{str(path)!r} cannot be read: {error.strerror}") from error
        if self.contents is not None:
            self.contents[str(path)] = content
        return content

    def resolve(self, url: str, public_id: str | None, context: Any) -> Any:
        """Called by lxml for everything that a stylesheet loads."""
        return self.resolve_string(self.read(url), context, base_url=url)


def xml_parser(charset: str | None = None) -> Any:
    """A parser that loads nothing, and expands what a document declares itself within libxml2's limits."""
    return etree.XMLParser(
        encoding=charset, resolve_entities="internal", no_network=True, load_dtd=False, huge_tree=False
    )


def parsed(document: bytes, is_utf8: bool) -> Any:
    """An XML document as a tree. XML is read strictly: every error ends it."""
    parser = xml_parser("utf-8" if is_utf8 else None)
    try:
        return etree.fromstring(document, parser).getroottree()
    except etree.XMLSyntaxError as error:
        raise Refused(f"the document cannot be read: {reason_of(error, parser.error_log)}") from error


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
