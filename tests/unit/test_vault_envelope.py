"""A sealed value opens where it was sealed, whole, and nowhere else; its layout does not drift."""

import re
from typing import TypedDict

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import SealBroken
from worker.vault.envelope import open_sealed, parse_key_id, seal

KEY = bytes(range(32))
PLAINTEXT = b"attack at dawn"


class Place(TypedDict):
    purpose: str
    tenant: str
    credential: str
    version: int


PLACE = Place(purpose="credential", tenant="t-1f2e", credential="servicenow-oauth-client", version=7)
SEALED = seal(KEY, "k-vector", PLAINTEXT, **PLACE)
HEAD_BYTES = 2 + len("k-vector")


def moved(**change: object) -> Place:
    return Place(**{**PLACE, **change})  # type: ignore[typeddict-item]


def refuse(sealed: bytes, place: Place = PLACE, *, key_id: str = "k-vector", key: bytes = KEY) -> str:
    with pytest.raises(SealBroken) as caught:
        open_sealed(key, key_id, sealed, **place)
    assert PLAINTEXT.decode() not in str(caught.value)
    return str(caught.value)


def test_sealing_writes_the_layout() -> None:
    assert SEALED[:HEAD_BYTES] == b"\x01\x08k-vector"
    place = b"".join(
        len(part).to_bytes(4, "big") + part
        for part in (b"zaptik", b"credential", b"t-1f2e", b"servicenow-oauth-client", b"7", b"k-vector")
    )
    nonce, ciphertext = SEALED[HEAD_BYTES : HEAD_BYTES + 12], SEALED[HEAD_BYTES + 12 :]
    assert ciphertext == AESGCM(KEY).encrypt(nonce, PLAINTEXT, place)
    assert len(ciphertext) == len(PLAINTEXT) + 16


def test_no_two_seals_share_a_nonce() -> None:
    nonces = {seal(KEY, "k-vector", b"", **PLACE)[HEAD_BYTES : HEAD_BYTES + 12] for _ in range(200)}
    assert len(nonces) == 200


@given(
    st.binary(max_size=300), st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.integers()
)
def test_what_was_sealed_opens_in_its_place(
    plaintext: bytes, purpose: str, tenant: str, credential: str, version: int
) -> None:
    place = Place(purpose=purpose, tenant=tenant, credential=credential, version=version)
    assert open_sealed(KEY, "k-vector", seal(KEY, "k-vector", plaintext, **place), **place) == plaintext


@pytest.mark.parametrize(
    "change", [{"purpose": "data-key"}, {"tenant": "t-1f2f"}, {"credential": "other"}, {"version": 8}]
)
def test_a_value_moved_to_another_place_stays_shut(change: dict[str, object]) -> None:
    place = moved(**change)
    message = refuse(SEALED, place)
    assert place["purpose"] in message
    assert place["tenant"] in message
    assert f"version {place['version']}" in message


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "credentialt", "tenant": "-1f2e"},
        {"purpose": "", "tenant": "credentialt-1f2e"},
        {"tenant": "t-1f2eservicenow", "credential": "-oauth-client"},
        {"credential": "servicenow-oauth-client7", "version": 0},
    ],
)
def test_places_that_read_the_same_when_joined_are_not_the_same(change: dict[str, object]) -> None:
    refuse(SEALED, moved(**change))


def test_another_key_id_is_another_place_even_with_the_same_key() -> None:
    swapped = SEALED.replace(b"k-vector", b"k-victor")
    assert "does not open" in refuse(swapped)
    assert "does not open" in refuse(swapped, key_id="k-victor")
    assert "does not open" in refuse(SEALED, key_id="k-victor")


def test_another_key_of_the_same_id_does_not_open() -> None:
    refuse(SEALED, key=bytes(32))


@pytest.mark.parametrize("position", range(len(SEALED) * 8))
def test_every_bit_counts(position: int) -> None:
    altered = bytearray(SEALED)
    altered[position // 8] ^= 1 << position % 8
    refuse(bytes(altered))


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_every_byte_counts(position: int, difference: int) -> None:
    altered = bytearray(SEALED)
    altered[position] ^= difference
    refuse(bytes(altered))


@pytest.mark.parametrize("tag_bytes", range(16))
def test_a_cut_tag_is_refused(tag_bytes: int) -> None:
    refuse(SEALED[: len(SEALED) - 16 + tag_bytes])


@pytest.mark.parametrize("length", range(len(SEALED)))
def test_every_truncation_is_a_broken_seal(length: int) -> None:
    refuse(SEALED[:length])


@pytest.mark.parametrize("layout", [layout for layout in range(256) if layout != 1])
def test_another_layout_is_refused_even_where_all_else_fits(layout: int) -> None:
    refuse(bytes([layout]) + SEALED[1:])


@given(st.binary(max_size=80))
def test_noise_is_refused_and_never_printed(noise: bytes) -> None:
    message = refuse(noise)
    assert message.isprintable()
    assert not re.search(r"b'|\\x", message)


CHANGES = st.sampled_from(["purpose", "tenant", "credential", "version", "key_id"])


@given(st.sets(CHANGES, min_size=1), st.text(max_size=8), st.integers(0, 2**40))
def test_a_swap_of_any_part_of_the_place_is_refused(parts: set[str], text: str, version: int) -> None:
    """Every combination: whatever part is another, the rest being right does not help."""
    changed: dict[str, object] = {
        part: version if part == "version" else text for part in parts if part != "key_id"
    }
    place = moved(**changed)
    key_id = f"k-{len(text)}" if "key_id" in parts else "k-vector"
    if (place, key_id) != (PLACE, "k-vector"):
        refuse(SEALED, place, key_id=key_id)
        refuse(SEALED[:2] + key_id.encode().ljust(8, b".") + SEALED[HEAD_BYTES:], place, key_id=key_id)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"version": 6},
        {"version": 8},
        {"tenant": "t-1f2f"},
        {"purpose": "data-key"},
        {"key_id": "k-victor"},
    ],
)
def test_no_splice_of_two_values_opens_wherever_they_are_cut(change: dict[str, object]) -> None:
    """The head of one and the tail of another: of an older version, another tenant, another purpose, another key id."""
    key_id = str(change.get("key_id", "k-vector"))
    place = moved(**{part: value for part, value in change.items() if part != "key_id"})
    other = seal(KEY, key_id, PLAINTEXT, **place)
    for cut in range(1, len(SEALED)):
        for spliced in (SEALED[:cut] + other[cut:], other[:cut] + SEALED[cut:]):
            if spliced not in {SEALED, other}:
                for where in (PLACE, place):
                    refuse(spliced, where)
                    refuse(spliced, where, key_id=key_id)


@given(st.data())
def test_no_part_can_be_taken_out_doubled_or_put_elsewhere(data: st.DataObject) -> None:
    ends = st.integers(0, len(SEALED))
    first, second, third = sorted(data.draw(st.tuples(ends, ends, ends)))
    head, one, two, tail = SEALED[:first], SEALED[first:second], SEALED[second:third], SEALED[third:]
    for altered in (
        head + two + tail,
        head + one + one + two + tail,
        head + two + one + tail,
        head + one[::-1] + two + tail,
    ):
        if altered != SEALED:
            refuse(altered)


@given(st.binary(min_size=1, max_size=40))
def test_nothing_may_follow(surplus: bytes) -> None:
    refuse(SEALED + surplus)


def test_the_key_a_value_names_can_be_asked_without_opening_it() -> None:
    assert parse_key_id(SEALED) == "k-vector"
    with pytest.raises(SealBroken):
        parse_key_id(b"")


@pytest.mark.parametrize(("key", "key_id"), [(bytes(16), "k-a"), (KEY, ""), (KEY, "a" * 256), (KEY, "a\nb")])
def test_a_weak_key_or_an_unprintable_id_seals_nothing(key: bytes, key_id: str) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        seal(key, key_id, PLAINTEXT, **PLACE)
