"""Bodies of every shape: what the scripted application is asked for, and what comes."""

from __future__ import annotations

ITERATED = {
    "/hello": b"hello\n",
    "/unsized": b"one block without a length",
    "/list": b"one two three",
    "/tuple": b"one two",
    "/empty": b"",
    "/blanks": b"one two",
    "/counted": b"one two",
    "/sized": b"one two",
    "/generator": b"one two",
    "/file": b"a file",
    "/large": b"".join(bytes([65 + step]) * 50_000 for step in range(20)),
}
"""Those that the application returns."""

WRITTEN = {
    "/write": b"written twice, then iterated",
    "/write_only": b"written",
    "/write_and_list": b"written listed",
}
"""Those that it writes, or begins to write."""
