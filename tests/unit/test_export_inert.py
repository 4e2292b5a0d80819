"""Names from outside are spelled out where they could act on a terminal or deceive the eye."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.export.inert import quote_text, show_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Network", "Network"),
        ("Überall, 日本, عربي", "Überall, 日本, عربي"),
        ("\x1b[2J\x1b]0;title\x07", "\\u001b[2J\\u001b]0;title\\u0007"),
        ("a\r\nb\tc", "a\\u000d\\u000ab\\u0009c"),
        ("\x9b31m", "\\u009b31m"),
        ("invoice\u202egpj.exe", "invoice\\u202egpj.exe"),
        ("\u2066a\u2069\u200b\ufeff", "\\u2066a\\u2069\\u200b\\ufeff"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\U000e0041", "\\U000e0041"),
        ("=cmd|'/c calc'!A1", "=cmd|'/c calc'!A1"),
    ],
)
def test_what_is_not_seen_is_spelled_out_and_letters_stay(text: str, shown: str) -> None:
    assert show_text(text) == shown


@given(st.text())
def test_nothing_that_is_shown_is_unseen_or_endless(text: str) -> None:
    shown = show_text(text)
    assert {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"} == set()
    assert len(shown) <= 203


def test_a_quoted_text_is_in_quotes() -> None:
    assert quote_text("a\x1b") == '"a\\u001b"'
