"""Looking for secrets wherever they might have been written down: as they are, encoded, or a piece of eight bytes.

A piece is found by an anchor: of any eight bytes in a row of a secret, four begin at a place that five divides. Few
anchors are looked for, fast, and what stands round one of them in the text is then compared with the secret. NULs count
for nothing, in texts and in secrets: most of a database's files are NULs, and so is half of UTF-16.
"""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PIECE_BYTES = 8
_ANCHOR_BYTES = 4
_STEP = PIECE_BYTES - _ANCHOR_BYTES + 1


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """One secret: what people call it, and its bytes. The shortest that can be looked for is a piece."""

    name: str
    value: bytes

    def __post_init__(self) -> None:
        if len(self.bare) < PIECE_BYTES:
            raise ValueError(f"{self.name} is shorter than a piece")

    def __repr__(self) -> str:
        return f"<Secret {self.name}>"

    @property
    def bare(self) -> bytes:
        """Its bytes without NULs."""
        return self.value.replace(b"\x00", b"")


@dataclass(frozen=True, slots=True)
class Leak:
    """What was found of a secret, how it was written, and where in the text without its NULs."""

    name: str
    form: str
    at: int


class LeakSearch:
    """A search for some secrets."""

    def __init__(self, secrets: Mapping[str, str | bytes]) -> None:
        self._secrets = [
            Secret(name, value.encode() if isinstance(value, str) else value)
            for name, value in secrets.items()
        ]
        self._forms = [
            (secret, form, needle)
            for secret in self._secrets
            for form, needles in spell(secret.value).items()
            for needle in needles
        ]

    def __repr__(self) -> str:
        return f"<LeakSearch for {', '.join(secret.name for secret in self._secrets)}>"

    def find(self, text: bytes) -> list[Leak]:
        """Give each secret's first trace in a text, in each form that it stands there."""
        text = text.translate(None, b"\x00")
        found = [
            Leak(secret.name, form, at)
            for secret, form, needle in self._forms
            if (at := text.find(needle)) >= 0
        ]
        for secret in self._secrets:
            at = _find_piece(secret.bare, text)
            if at >= 0:
                is_whole = text.startswith(secret.bare, at)
                found.append(Leak(secret.name, "plain" if is_whole else "piece", at))
        return found


def spell(value: bytes) -> dict[str, set[bytes]]:
    """Give a secret in the forms that it may be written in as a whole, beside its own."""
    text = value.decode("latin-1")
    every = "".join(f"%{byte:02x}" for byte in value)
    quoted = {urllib.parse.quote(value, safe=""), urllib.parse.quote(value), urllib.parse.quote_plus(value)}
    forms = {
        "base64": set(_spell_base64(value)),
        "hex": {value.hex().encode(), value.hex().upper().encode()},
        "url": {every.encode(), every.upper().encode(), *(one.encode() for one in quoted)},
        "json": {json.dumps(text)[1:-1].encode()},
        "repr": {repr(value)[2:-1].encode()},
        "latin-1": _spell_latin(value),
    }
    bare = value.replace(b"\x00", b"")
    return {
        form: {needle.replace(b"\x00", b"") for needle in needles} - {bare} for form, needles in forms.items()
    }


def _spell_latin(value: bytes) -> set[bytes]:
    """Give a text with one byte for each letter, where it is a text that can be written so."""
    try:
        return {value.decode().encode("latin-1")}
    except UnicodeError:
        return set()


def _spell_base64(value: bytes) -> Iterator[bytes]:
    """Encode at each of the three places within a group; letters that its neighbours have a part in are left out."""
    for before in range(3):
        bits = (8 * before, 8 * (before + len(value)))
        first, last = -(-bits[0] // 6), bits[1] // 6
        padded = bytes(before) + value + bytes(-(before + len(value)) % 3)
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(padded)[first:last]


def _find_piece(value: bytes, text: bytes) -> int:
    for start in range(0, len(value) - _ANCHOR_BYTES + 1, _STEP):
        anchor = value[start : start + _ANCHOR_BYTES]
        at = text.find(anchor)
        while at >= 0:
            began = _count_same(value[:start][::-1], text[max(0, at - start) : at][::-1])
            same = began + _count_same(value[start:], text[at : at + len(value) - start])
            if same >= PIECE_BYTES:
                return at - began
            at = text.find(anchor, at + 1)
    return -1


def _count_same(one: bytes, other: bytes) -> int:
    """Count the bytes at the beginning that are the same."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))
