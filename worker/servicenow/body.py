"""The bytes of an answer, unpacked as they come, and never more of them than allowed.

httpx would unpack each piece whole, and a piece of 64 kB can hold 64 MB: here the bound holds while unpacking.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable

_GZIP_WINDOW_BITS = 16 + zlib.MAX_WBITS


class BodyRefused(Exception):  # noqa: N818  caught beside it, by the wire alone
    """The body is too long, cut, or packed in a way that was not asked for; the text says which."""


async def read_body(chunks: AsyncIterable[bytes], *, encoding: str, most_bytes: int) -> bytes:
    """Read a body to its end; raises BodyRefused."""
    match encoding.strip().lower():
        case "" | "identity":
            return await _read_plain(chunks, most_bytes)
        case "gzip" | "x-gzip":
            return await _read_gzip(chunks, most_bytes)
        case _:
            raise BodyRefused("is packed in a way that was not asked for")


async def _read_plain(chunks: AsyncIterable[bytes], most_bytes: int) -> bytes:
    parts, left = [], most_bytes
    async for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise _too_long(most_bytes)
        parts.append(chunk)
    return b"".join(parts)


async def _read_gzip(chunks: AsyncIterable[bytes], most_bytes: int) -> bytes:
    parts, left = [], most_bytes
    unpacker = zlib.decompressobj(_GZIP_WINDOW_BITS)
    async for chunk in chunks:
        if unpacker.eof:
            raise BodyRefused("goes on after the end of its gzip")
        try:
            # One byte more than allowed, to see that there is more; what is left packed is refused with it.
            part = unpacker.decompress(chunk, left + 1)
        except zlib.error:
            raise BodyRefused("is not the gzip that it says it is") from None
        left -= len(part)
        if left < 0:
            raise _too_long(most_bytes)
        parts.append(part)
        if unpacker.unused_data:
            raise BodyRefused("goes on after the end of its gzip")
    if not unpacker.eof and parts:
        raise BodyRefused("ends in the middle of its gzip")
    return b"".join(parts)


def _too_long(most_bytes: int) -> BodyRefused:
    return BodyRefused(f"is longer than {most_bytes} bytes")
