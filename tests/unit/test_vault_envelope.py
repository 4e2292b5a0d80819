"""A sealed value opens where it was sealed, whole, and nowhere else; its layout does not drift."""

import re
from typing import TypedDict

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import KeyMissing, SealBroken
from worker.vault.envelope import open_sealed, parse_key_id, seal

KEY = bytes(range(32))
KEYS = {"k-vector": KEY, "k-victor": KEY}
PLAINTEXT = b"attack at dawn"


class Place(TypedDict):
    purpose: str
    tenant: str
    credential: str
    version: int


PLACE = Place(purpose="credential", tenant="t-1f2e", credential="servicenow-oauth-client", version=7)
# Made outside this code, from the layout in the module's docstring: nonce 64 65 ... 6f, key 00 01 ... 1f.
VECTOR = bytes.fromhex(
    "01086b2d766563746f726465666768696a6b6c6d6e6f296faa071a8276ff4a423b89ad0bad150b70999a6cfb1fd58f4573f61a14"
)
SEALED = seal(KEY, "k-vector", PLAINTEXT, **PLACE)
HEAD_BYTES = 2 + len("k-vector")


def moved(**change: object) -> Place:
    return Place(**{**PLACE, **change})  # type: ignore[typeddict-item]


def refuse(sealed: bytes, place: Place = PLACE) -> str:
    with pytest.raises((SealBroken, KeyMissing)) as caught:
        open_sealed(KEYS, sealed, **place)
    assert PLAINTEXT.decode() not in str(caught.value)
    return str(caught.value)


def test_the_fixed_vector_opens() -> None:
    assert open_sealed(KEYS, VECTOR, **PLACE) == PLAINTEXT


def test_sealing_writes_the_layout_of_the_fixed_vector() -> None:
    assert SEALED[:HEAD_BYTES] == VECTOR[:HEAD_BYTES]
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
    assert open_sealed(KEYS, seal(KEY, "k-vector", plaintext, **place), **place) == plaintext


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


def test_a_key_the_ring_lacks_is_named() -> None:
    with pytest.raises(KeyMissing, match="k-absent"):
        open_sealed(KEYS, SEALED.replace(b"k-vector", b"k-absent"), **PLACE)


def test_another_key_of_the_same_id_does_not_open() -> None:
    with pytest.raises(SealBroken):
        open_sealed({"k-vector": bytes(32)}, SEALED, **PLACE)


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
    with pytest.raises(SealBroken):
        open_sealed(KEYS, SEALED[:length], **PLACE)


@given(st.binary(max_size=80))
def test_noise_is_refused_and_never_printed(noise: bytes) -> None:
    message = refuse(noise)
    assert message.isprintable()
    assert not re.search(r"b'|\\x", message)


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
