"""Why a stylesheet or a document is refused, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class Refused(Exception):
    """A stylesheet or document that cannot be used, with the reason in one line."""


def reason_of(error: Exception, log: Iterable[Any] = ()) -> str:
    """The message of an exception in one line, after the last messages of its log."""
    return lines_of([*(entry.message for entry in log), str(error)]) or type(error).__name__


def lines_of(messages: Iterable[str]) -> str:
    """The last messages in one line."""
    distinct: list[str] = []
    for message in (in_our_words(" ".join(text.split())) for text in messages):
        # libxml2 repeats the message, with the line behind it.
        if distinct and message.startswith(distinct[-1]):
            distinct[-1] = message
        elif message and message not in distinct:
            distinct.append(message)
    return "; ".join(distinct[-LINES:])


def in_our_words(message: str) -> str:
    """A message of libxml2, without advice on flags that nobody can set here."""
    if "XML_PARSE_HUGE" not in message:
        return message
    if "depth" in message:
        return "the document is nested deeper than the parser's 256 levels"
    return "a text, attribute or comment of the document is longer than the parser's 10 MB"


LINES = 3
