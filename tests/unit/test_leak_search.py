"""The search finds a secret in each form and each piece of it, wherever it stands, and nothing where nothing is."""

from __future__ import annotations

import base64
import json
import secrets
import urllib.parse
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.leak_search import PIECE_BYTES, Leak, LeakSearch, Secret

TEXT = 'q7/Vx+2 k&M"zé3_Rt-9wLpB'
VALUE = TEXT.encode()
SEARCH = LeakSearch({"canary": VALUE})
OWN = ("plain", "piece")
FILLER = b"What is written here is of no importance, 0123456789 abcdef %41%42 \x00\xff#"

FORMS: dict[str, Callable[[], bytes]] = {
    "plain": lambda: VALUE,
    "hex": lambda: VALUE.hex().encode(),
    "hex in capitals": lambda: VALUE.hex().upper().encode(),
    "url": lambda: urllib.parse.quote(TEXT).encode(),
    "url, nothing safe": lambda: urllib.parse.quote(TEXT, safe="").encode(),
    "url, a form's": lambda: urllib.parse.urlencode({"secret": TEXT}).encode(),
    "url, every byte": lambda: "".join(f"%{byte:02X}" for byte in VALUE).encode(),
    "json": lambda: json.dumps({"secret": TEXT}).encode(),
    "repr": lambda: repr(VALUE).encode(),
    "utf-16": lambda: TEXT.encode("utf-16-le"),
    "utf-16, the other way round": lambda: TEXT.encode("utf-16-be"),
    "one byte a letter": lambda: TEXT.encode("latin-1"),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_found(form: str) -> None:
    found = SEARCH.find(FILLER + FORMS[form]() + FILLER)
    assert {leak.name for leak in found} == {"canary"}


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("after", range(3))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_found_wherever_in_its_groups_the_secret_begins(
    encode: Callable[[bytes], bytes], before: int, after: int
) -> None:
    encoded = encode(secrets.token_bytes(before) + VALUE + secrets.token_bytes(after))
    assert [leak.form for leak in SEARCH.find(FILLER + encoded)] == ["base64"]


@pytest.mark.parametrize("start", range(len(VALUE) - PIECE_BYTES + 1))
def test_every_piece_is_found(start: int) -> None:
    piece = VALUE[start : start + PIECE_BYTES]
    filler = FILLER.replace(b"\x00", b"")
    for text in (piece, filler + piece, piece + filler, filler + piece + filler):
        [leak] = SEARCH.find(text)
        assert (leak.form, text[leak.at : leak.at + PIECE_BYTES]) == ("piece", piece)


@pytest.mark.parametrize("start", range(len(VALUE) - PIECE_BYTES + 2))
def test_less_than_a_piece_is_none(start: int) -> None:
    assert SEARCH.find(FILLER + VALUE[start : start + PIECE_BYTES - 1] + b"." + FILLER) == []


WITHOUT_NUL = st.lists(st.integers(1, 255), min_size=PIECE_BYTES, max_size=64).map(bytes)


@given(WITHOUT_NUL, st.binary(max_size=40), st.binary(max_size=40), st.data())
def test_any_eight_bytes_of_any_secret_are_found_in_any_text(
    value: bytes, before: bytes, after: bytes, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(value) - PIECE_BYTES))
    text = before + value[start : start + PIECE_BYTES] + after
    assert [leak.name for leak in LeakSearch({"any": value}).find(text) if leak.form in OWN] == ["any"]


def test_what_is_not_there_is_not_found() -> None:
    other = LeakSearch({f"canary {number}": secrets.token_urlsafe(32) for number in range(20)})
    assert other.find(FILLER * 2_000 + secrets.token_bytes(1_000_000)) == []


def test_nul_bytes_count_for_nothing() -> None:
    key = b"\x00k\x00e\x00y of many bytes\x00"
    search = LeakSearch({"key": key})
    for encoded in (key.hex().encode(), base64.b64encode(b"x" + key), repr(key).encode()):
        assert search.find(encoded), "but those of a secret that is written in another form are part of it"
    assert search.find(bytes(1_000) + b"key of m" + bytes(1_000)) == [Leak("key", "piece", 0)]


def test_two_secrets_in_one_text_are_both_found() -> None:
    both = LeakSearch({"one": "aaaa-bbbb-cccc", "two": b"\x10\x01\x02\x03\x04\x05\x06\x07"})
    found = both.find(b"x aaaa-bbbb-cccc y 1001020304050607")
    assert {(leak.name, leak.form) for leak in found} == {("one", "plain"), ("two", "hex")}


def test_a_secret_that_is_shorter_than_a_piece_is_refused_and_none_is_shown() -> None:
    with pytest.raises(ValueError, match="shorter"):
        LeakSearch({"short": "1234567"})
    assert repr(Secret("canary", VALUE)) == "<Secret canary>"
    assert repr(SEARCH) == "<LeakSearch for canary>"
