"""Text from outside, made harmless to look at: what a terminal would obey, or the eye would miss, is spelled out."""

from __future__ import annotations

import unicodedata

# Control, format (bidirectional overrides, zero widths, tags), surrogate, private, unassigned; line separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MOST_CHARACTERS = 200


def spell_text(text: str) -> str:
    r"""Spell out what is not seen, as `\u202e`; letters of every script stay, and so does the length of the text."""
    return text if text.isascii() and text.isprintable() else "".join(map(_show_character, text))


def show_text(text: str) -> str:
    """Spell a text out, and cut what is too long, with a mark."""
    shown = spell_text(text)
    return shown if len(shown) <= _MOST_CHARACTERS else f"{shown[:_MOST_CHARACTERS]}..."


def quote_text(text: str) -> str:
    """Give a name or a value as it stands in a line for people: shown, and in quotes."""
    return f'"{show_text(text)}"'


def _show_character(character: str) -> str:
    if unicodedata.category(character) not in _UNSEEN:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004  the plane's last
