"""Reads the `*.http` files; README.md describes the format."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS = ("expect", "each", "closed", "served", "methods", "contains", "lacks", "end", "follow")
SIMPLE = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\", "0": b"\0", "s": b" "}
ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|\*(\d+)\{([^}]*)\}|([rnt\\0s]))|(\\)")


@dataclass(frozen=True)
class Case:
    """Bytes, and what is promised to the client that sends them."""

    promise: str
    data: bytes
    expect: tuple[int, ...]
    closed: bool
    served: tuple[str, ...] | None
    methods: tuple[str, ...]
    contains: str | None
    lacks: str | None
    end: bool
    follow: bool


def read_cases(path: Path) -> Iterator[tuple[str, Case]]:
    """The cases of one file, each with a name."""
    _, *sections = re.split(r"^=== ?", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sections, f"{path.name} holds no case"
    for section in sections:
        yield from read_section(path.stem, section)


def read_section(stem: str, section: str) -> Iterator[tuple[str, Case]]:
    """The variants of one case."""
    head, separator, raw = section.partition("\n\n")
    promise, *lines = head.split("\n")
    assert separator and promise, f"{stem}: {section!r} has no promise, or no bytes"
    keys: dict[str, list[str]] = {}
    for line in lines:
        key, colon, value = line.partition(":")
        assert colon and key in KEYS, f"{stem}: {promise}: {line!r} is no key"
        keys.setdefault(key, []).append(value.removeprefix(" "))
    case = build(promise, {key: values[-1] for key, values in keys.items()})
    template = "".join(raw.split("\n"))
    assert ("{each}" in template) == ("each" in keys), f"{stem}: {promise}: each or {{each}} is missing"
    name = f"{stem}: {promise}"
    if "each" not in keys:
        yield name, replace(case, data=unescape(template))
    for each in keys.get("each", []):
        yield f"{name}: {each}", replace(case, data=unescape(template.replace("{each}", each)))


def build(promise: str, keys: dict[str, str]) -> Case:
    """A case without its bytes."""
    expect = keys["expect"]
    statuses = () if expect == "nothing" else tuple(map(int, expect.split()))
    refused = not statuses or statuses[-1] >= 400
    closed = keys.get("closed", "yes" if refused else "no") == "yes"
    end = keys.get("end") == "yes"
    served = keys.get("served", "nothing" if closed and refused and len(statuses) < 2 else None)
    return Case(
        promise=promise,
        data=b"",
        expect=statuses,
        closed=closed,
        served=None if served is None else read_served(served),
        methods=tuple(keys.get("methods", "").split()),
        contains=text(keys.get("contains")),
        lacks=text(keys.get("lacks")),
        end=end,
        follow=keys.get("follow", "yes" if closed and refused and not end else "no") == "yes",
    )


def text(written: str | None) -> str | None:
    """What a value with escapes stands for."""
    return None if written is None else unescape(written).decode("latin-1")


def read_served(text: str) -> tuple[str, ...]:
    """The requests that the application is to see."""
    return () if text == "nothing" else tuple(part.strip() for part in text.split(","))


def unescape(text: str) -> bytes:
    """The bytes that a line of a case stands for."""

    def byte(found: re.Match[str]) -> str:
        hexadecimal, times, repeated, simple, wrong = found.groups()
        assert not wrong, f"unknown escape in {text!r}"
        if hexadecimal:
            return chr(int(hexadecimal, 16))
        if times:
            return unescape(repeated).decode("latin-1") * int(times)
        return SIMPLE[simple].decode("latin-1")

    return ESCAPE.sub(byte, text).encode("latin-1")
