"""Content codings, undone by other people's code: zlib, brotli and zstandard."""

from __future__ import annotations

import zlib
from typing import Protocol

import brotli
import zstandard


class Decoder(Protocol):
    """Takes bytes as they come, and gives what can be decoded so far."""

    def __call__(self, block: bytes, /) -> bytes: ...


def decoder(encoding: str | None) -> Decoder:
    """A decoder for one body with this Content-Encoding."""
    if encoding is None:
        return bytes
    if encoding == "gzip":
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress
    if encoding == "zstd":
        return zstandard.ZstdDecompressor(max_window_size=8 << 20).decompressobj().decompress
    assert encoding == "br", encoding
    stream = brotli.Decompressor()

    def decode(block: bytes, /) -> bytes:
        decoded = stream.process(block)
        # It gives a part at a time.
        while part := stream.process(b""):
            decoded += part
        return bytes(decoded)

    return decode


def is_whole(body: bytes, encoding: str | None) -> bool:
    """Whether a body ends as its coding has it; only gzip is asked so far."""
    if encoding is None:
        return True
    assert encoding == "gzip", encoding
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    stream.decompress(body)
    return stream.eof


def decoded(body: bytes, encoding: str | None) -> bytes:
    """What can be decoded of a body."""
    return decoder(encoding)(body)
