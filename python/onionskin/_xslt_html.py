"""HTML as libxml2 reads it, for the layer ``Xslt``: without what it would lose silently."""

from __future__ import annotations

from typing import Any

from lxml import etree  # type: ignore[import-untyped]

from onionskin._xslt_errors import Refused, reason_of


def parsed(document: bytes) -> Any:
    """An HTML document in UTF-8 as a tree; None if it has no element, as one that is all comments.

    libxml2 repairs HTML without raising. Errors at which it stops, leaving out the rest, are only in its log.
    """
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        if any(entry.type != etree.ErrorTypes.ERR_DOCUMENT_EMPTY for entry in parser.error_log):
            raise Refused(f"the document cannot be read: {reason_of(error, parser.error_log)}") from error
        return None
    fatal = [entry for entry in parser.error_log if loses_content(entry)]
    if fatal:
        raise Refused(f"the document cannot be read whole: {' '.join(fatal[0].message.split())}")
    if root is None:
        return None
    complete_body(root)
    return root.getroottree()


def loses_content(entry: Any) -> bool:
    """Whether the parser left something out after this entry of its log."""
    return bool(entry.level == etree.ErrorLevels.FATAL or entry.type in LOSING)


def complete_body(root: Any) -> None:
    """Moves what follows ``</body>`` or ``</html>`` to the end of the body, where browsers have it.

    libxml2 keeps it beside the body, or in a second ``html`` element beside the first.
    """
    more = [other for other in root.itersiblings() if isinstance(other.tag, str)]
    body = next(root.iterchildren("body"), None)
    if body is None:
        if not more:
            return
        if next(root.iterchildren("frameset"), None) is not None:
            for other in more:  # Content after a frameset is ignored.
                etree.Element("removed").append(other)
            return
        body = etree.SubElement(root, "body")
    add_text(body, body.tail)
    body.tail = None
    for node in list(body.itersiblings()):
        body.append(node)
    for other in more:
        etree.Element("removed").append(other)
        add_contents(body, other)


def add_contents(body: Any, other: Any) -> None:
    """Moves what an ``html`` element contains to the end of the body."""
    add_text(body, other.text)
    for node in list(other):
        if node.tag in ("head", "body"):
            add_contents(body, node)
            add_text(body, node.tail)
        else:
            body.append(node)


def add_text(body: Any, text: str | None) -> None:
    """Adds text to the end of an element."""
    if not text:
        return
    last = body[-1] if len(body) else None
    if last is None:
        body.text = (body.text or "") + text
    else:
        last.tail = (last.tail or "") + text


LOSING = {
    # What versions of libxml2 before 2.14 call the limits that they stop at.
    etree.ErrorTypes.ERR_INTERNAL_ERROR,
    etree.ErrorTypes.ERR_NO_MEMORY,
    etree.ErrorTypes.ERR_NAME_TOO_LONG,
    etree.ErrorTypes.ERR_INVALID_ENCODING,
}
