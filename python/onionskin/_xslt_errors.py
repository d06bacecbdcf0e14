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
    for message in (" ".join(text.split()) for text in messages):
        # libxml2 repeats the message, with the line behind it.
        if distinct and message.startswith(distinct[-1]):
            distinct[-1] = message
        elif message and message not in distinct:
            distinct.append(message)
    return "; ".join(distinct[-LINES:])


LINES = 3
