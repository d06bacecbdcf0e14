"""Stylesheets, by lxml: what the layer ``Xslt`` calls. Importing it takes the extra ``onionskin[xslt]``."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from lxml import etree  # type: ignore[import-untyped]

from onionskin import _xslt_html
from onionskin._xslt_errors import Refused, lines_of, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Fetch = Callable[[str], bytes]

XSL = "{http://www.w3.org/1999/XSL/Transform}"


class Chain:
    """Stylesheets, each applied to the result of the one before it; for several threads at once."""

    def __init__(self, sources: list[Source]) -> None:
        self._sources = sources
        # lxml keeps one log of messages for each of its objects, so every thread needs its own.
        self._idle = [self._compile()]
        self.files = list(dict.fromkeys(path for source in sources for path in source.contents))
        output = output_of(sources[-1])
        for source in sources:
            source.fetch = None
        self._charset = charset_of(output)
        self.media_type = output.get("media-type") or MEDIA_TYPES.get(output.get("method", ""))

    def _compile(self) -> list[tuple[Any, Reader]]:
        return [source.compile() for source in self._sources]

    def apply(
        self,
        document: bytes,
        is_html: bool,
        is_utf8: bool,
        parameters: dict[str, str],
        url: str | None = None,
        fetch: Fetch | None = None,
    ) -> tuple[bytes, str, str] | None:
        """The result as bytes, its media type and its charset; None for a document without an element."""
        tree = _xslt_html.parsed(document) if is_html else parsed(document, is_utf8, url)
        if tree is None:
            return None
        try:
            sheets = self._idle.pop()
        except IndexError:
            sheets = self._compile()
        try:
            quoted = {name: etree.XSLT.strparam(text) for name, text in parameters.items()}
            for sheet, reader in sheets:
                reader.fetch = fetch
                tree = transformed(sheet, tree, quoted)
            return bytes(tree), self.media_type or media_type_of(tree), self._charset
        finally:
            for _, reader in sheets:
                reader.fetch = None
            self._idle.append(sheets)


def of_files(paths: list[str], directory: str | None) -> Chain:
    """A chain of stylesheets that are files."""
    return Chain([Source(File, str(Path(path).resolve()), directory) for path in paths])


def of_url(url: str, fetch: Fetch) -> Chain:
    """A stylesheet at an absolute path of the site, read with ``fetch``."""
    return Chain([Source(Fetched, url, fetch=fetch)])


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
    """Where a stylesheet comes from."""

    def __init__(
        self, kind: type[Reader], place: str, directory: str | None = None, fetch: Fetch | None = None
    ) -> None:
        self.place = place
        self.contents: dict[str, bytes] = {}
        """What was read to compile it the first time, so that every thread compiles the same."""
        self._kind = kind
        self._directory = Path(directory or Path(place).parent).resolve()
        self.fetch = fetch
        """How it is read; None once it has been compiled."""

    def reader(self) -> Reader:
        """What reads while the stylesheet is compiled."""
        return self._kind(self.contents, self._directory, self.fetch)

    def compile(self) -> tuple[Any, Reader]:
        """The stylesheet, ready to be called on one thread at a time, and what reads for it."""
        reader = self.reader()
        parser = xml_parser()
        parser.resolvers.add(reader)
        etree.clear_error_log()
        try:
            tree = etree.fromstring(reader.read(self.place), parser, base_url=self.place)
            sheet = etree.XSLT(tree, access_control=reader.access, regexp=False)
        except (etree.XMLSyntaxError, etree.XSLTParseError) as error:
            log = getattr(error, "error_log", ())
            raise Refused(f"{self.place!r} is not a valid stylesheet: {reason_of(error, log)}") from error
        reader.contents, reader.fetch = None, None
        return sheet, reader


def access(read_network: bool) -> Any:
    """What libxslt asks a reader for at all. Nothing is written."""
    return etree.XSLTAccessControl(
        read_file=True,
        read_network=read_network,
        write_file=False,
        write_network=False,
        create_dir=False,
    )


class Reader(etree.Resolver):  # type: ignore[misc]
    """Reads everything that a stylesheet loads, with ``xsl:import``, ``xsl:include`` and ``document()``."""

    access: Any

    def __init__(self, contents: dict[str, bytes] | None, directory: Path, fetch: Fetch | None) -> None:
        super().__init__()
        self.contents = contents
        """What was read so far, while the stylesheet is compiled; None after that."""
        self.fetch = fetch
        self._directory = directory

    def read(self, url: str) -> bytes:
        """The content at ``url``."""
        place = self.place(url)
        if self.contents is None:
            return self.load(place)
        if place not in self.contents:
            self.contents[place] = self.load(place)
        return self.contents[place]

    def resolve(self, url: str, public_id: str | None, context: Any) -> Any:
        """Called by lxml for everything that a stylesheet loads."""
        return self.resolve_string(self.read(url), context, base_url=url)

    def place(self, url: str) -> str:
        """The name of what is at ``url``, one for each."""
        raise NotImplementedError

    def load(self, place: str) -> bytes:
        """The content at a place."""
        raise NotImplementedError

    @staticmethod
    def join(base: str, href: str) -> str:
        """The place that ``href`` stands for in a stylesheet at ``base``."""
        raise NotImplementedError


class File(Reader):
    """Reads the files of one directory."""

    access = access(read_network=False)

    def place(self, url: str) -> str:
        path = Path(url.removeprefix("file://")).resolve()
        if not path.is_relative_to(self._directory):
            raise Refused(f"{url!r} lies outside of {str(self._directory)!r}")
        return str(path)

    def load(self, place: str) -> bytes:
        try:
            return Path(place).read_bytes()
        except OSError as error:
            raise Refused(f"{place!r} cannot be read: {error.strerror}") from error

    @staticmethod
    def join(base: str, href: str) -> str:
        return str((Path(base).parent / href).resolve())


class Fetched(Reader):
    """Fetches from the application."""

    access = access(read_network=True)  # URLs with a host; the layer decides which.

    def place(self, url: str) -> str:
        return url

    def load(self, place: str) -> bytes:
        if self.fetch is None:
            raise Refused(f"{place!r} cannot be fetched now")
        return self.fetch(place)

    @staticmethod
    def join(base: str, href: str) -> str:
        return urljoin(base, href)


def xml_parser(charset: str | None = None) -> Any:
    """A parser that loads nothing, and expands what a document declares itself within libxml2's limits."""
    return etree.XMLParser(
        encoding=charset, resolve_entities="internal", no_network=True, load_dtd=False, huge_tree=False
    )


def parsed(document: bytes, is_utf8: bool, url: str | None) -> Any:
    """An XML document as a tree. XML is read strictly: every error ends it."""
    parser = xml_parser("utf-8" if is_utf8 else None)
    try:
        return etree.fromstring(document, parser, base_url=url).getroottree()
    except etree.XMLSyntaxError as error:
        raise Refused(f"the document cannot be read: {reason_of(error, parser.error_log)}") from error


def output_of(source: Source) -> dict[str, str]:
    """The attributes of all ``xsl:output`` elements (XSLT 1.0 section 16): those of imports count less."""
    imported, own = outputs(source.reader(), source.place, set())
    return {**imported, **own}


def outputs(reader: Reader, place: str, above: set[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The attributes of ``xsl:output`` in what a sheet imports, and in itself and what it includes."""
    imported: dict[str, str] = {}
    own: dict[str, str] = {}
    if place in above:
        return imported, own
    for element in etree.fromstring(reader.read(place), xml_parser()):
        if element.tag in (XSL + "import", XSL + "include"):
            href = reader.join(place, element.get("href", ""))
            lower, same = outputs(reader, href, {place, *above})
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
