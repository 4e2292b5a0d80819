"""The calls of `zaptik` that a page tells people to make, with something in the place of each word in capitals."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

_FILLED = {"N": "3", "FROM": "1", "TO": "2", "RUN_ID": "6b0f0d0c-58a1-4c7f-9a53-0d4b0a2f6f11"}
_PLACE = re.compile(r"[A-Z][A-Z_]*")
_FENCED = re.compile(r"(?ms)^ *```(?:sh|console)?\n(.*?)^ *```$")
_INLINE = re.compile(r"`(zaptik [^`]+)`")
_PROGRAM = re.compile(r"^(?:\$ )?(?:\S*/)?zaptik (.+)$")


def read_calls(text: str) -> Iterator[str]:
    """Give the arguments of each call on a page, as they are written; a bare `zaptik` names the program."""
    for block in _FENCED.findall(text):
        yield from (found[1] for line in block.splitlines() if (found := _PROGRAM.match(line.strip())))
    for call in _INLINE.findall(_FENCED.sub("", text)):
        yield call.removeprefix("zaptik ")


def split_call(call: str) -> list[str]:
    """Split a call into the words that the command gets, without what is the shell's."""
    # What is in brackets may be left out.
    words = shlex.split(re.sub(r"\[--?[^]]*\]", "", call), comments=True)
    ends = [words.index(sign) for sign in ("<", ">", "|", "&&", "&") if sign in words]
    return [_fill(word) for word in words[: min(ends, default=len(words))]]


def _fill(word: str) -> str:
    return _FILLED.get(word, word.lower().replace("_", "-")) if _PLACE.fullmatch(word) else word
