"""A tenant's credentials open for that tenant and version alone, and show themselves to nobody."""

import pickle
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import KeyMissing, SealBroken
from worker.vault import (
    ClientCredentials,
    Keyring,
    SealedCredentials,
    new_data_key,
    new_keyring,
    open_credentials,
    rewrap_data_key,
    seal_credentials,
    with_new_primary,
    without_key,
)

CREDENTIALS = ClientCredentials("client-canary", "secret-canary")
RING = new_keyring()
SEALED = seal_credentials(RING, CREDENTIALS, tenant="t-1", version=3)


def refuse(sealed: SealedCredentials, *, tenant: str = "t-1", ring: Keyring = RING) -> str:
    with pytest.raises(SealBroken) as caught:
        open_credentials(ring, sealed, tenant=tenant)
    assert "canary" not in str(caught.value)
    return str(caught.value)


@given(st.text(), st.text())
def test_credentials_come_back_as_they_were(client_id: str, client_secret: str) -> None:
    credentials = ClientCredentials(client_id, client_secret)
    sealed = seal_credentials(RING, credentials, tenant="t-1", version=1)
    assert open_credentials(RING, sealed, tenant="t-1") == credentials


def test_what_is_stored_holds_neither_part_in_clear() -> None:
    stored = repr(SEALED).encode() + SEALED.envelope + SEALED.wrapped_data_key
    assert b"canary" not in stored
    assert (SEALED.key_id, SEALED.version) == (RING.primary, 3)


def test_another_tenant_opens_nothing() -> None:
    message = refuse(SEALED, tenant="t-2")
    assert "tenant t-2" in message


def test_another_tenants_envelope_or_data_key_opens_nothing() -> None:
    other = seal_credentials(RING, CREDENTIALS, tenant="t-2", version=3)
    refuse(replace(SEALED, envelope=other.envelope))
    refuse(replace(SEALED, wrapped_data_key=other.wrapped_data_key))
    refuse(other)


def test_another_version_opens_nothing() -> None:
    newer = seal_credentials(
        RING, CREDENTIALS, tenant="t-1", version=4, wrapped_data_key=SEALED.wrapped_data_key
    )
    assert "version 4" in refuse(replace(SEALED, version=4))
    refuse(replace(SEALED, envelope=newer.envelope))


def test_a_data_key_is_no_credential_and_the_reverse() -> None:
    refuse(replace(SEALED, wrapped_data_key=SEALED.envelope, key_id="data"), ring=with_data_key_in_the_ring())
    refuse(replace(SEALED, envelope=SEALED.wrapped_data_key))


def with_data_key_in_the_ring() -> Keyring:
    """Give a ring that knows the id an envelope names, so that only the purpose stands in the way."""
    return Keyring(primary=RING.primary, keys={**RING.keys, "data": RING.primary_key})


def test_a_row_whose_key_id_was_changed_is_refused() -> None:
    ring = with_new_primary(RING)
    assert ring.primary in refuse(replace(SEALED, key_id=ring.primary), ring=ring)


def test_an_absent_key_is_named() -> None:
    with pytest.raises(KeyMissing, match=RING.primary):
        open_credentials(new_keyring(), SEALED, tenant="t-1")


def test_credentials_stored_anew_stay_under_the_tenants_data_key() -> None:
    wrapped = new_data_key(RING, "t-1")
    newer = seal_credentials(RING, CREDENTIALS, tenant="t-1", version=4, wrapped_data_key=wrapped)
    assert newer.wrapped_data_key == wrapped
    assert open_credentials(RING, newer, tenant="t-1") == CREDENTIALS


@pytest.mark.parametrize("part", ["wrapped_data_key", "envelope"])
def test_whatever_is_done_to_a_stored_value_is_one_refusal(part: str) -> None:
    """Every bit flipped, every cut, every byte more, every earlier layout: of what the row holds nothing else opens."""
    stored: bytes = getattr(SEALED, part)
    altered = [stored[:length] for length in range(len(stored))]
    altered += [stored + bytes([byte]) for byte in (0, 1, 255)]
    altered += [bytes([layout]) + stored[1:] for layout in range(256) if layout != stored[0]]
    for position in range(len(stored) * 8):
        flipped = bytearray(stored)
        flipped[position // 8] ^= 1 << position % 8
        altered.append(bytes(flipped))
    for value in altered:
        refuse(replace(SEALED, **{part: value}))  # type: ignore[arg-type]


def test_every_tenant_has_its_own_data_key() -> None:
    other = seal_credentials(RING, CREDENTIALS, tenant="t-1", version=3)
    refuse(replace(SEALED, wrapped_data_key=other.wrapped_data_key))


def test_rotation_rewraps_the_data_key_and_leaves_the_envelope() -> None:
    ring = with_new_primary(RING)
    wrapped = rewrap_data_key(ring, SEALED.wrapped_data_key, "t-1", key_id=SEALED.key_id)
    rewrapped = replace(SEALED, wrapped_data_key=wrapped, key_id=ring.primary)
    assert open_credentials(without_key(ring, RING.primary), rewrapped, tenant="t-1") == CREDENTIALS
    assert open_credentials(ring, SEALED, tenant="t-1") == CREDENTIALS, (
        "the old row opens until it is replaced"
    )


def test_credentials_sealed_during_a_rotation_name_the_key_that_wrapped_their_data_key() -> None:
    ring = with_new_primary(RING)
    sealed = seal_credentials(
        ring, CREDENTIALS, tenant="t-1", version=4, wrapped_data_key=SEALED.wrapped_data_key
    )
    assert sealed.key_id == RING.primary
    assert open_credentials(ring, sealed, tenant="t-1") == CREDENTIALS


def test_rewrapping_for_another_tenant_is_refused() -> None:
    with pytest.raises(SealBroken, match="tenant t-2"):
        rewrap_data_key(RING, SEALED.wrapped_data_key, "t-2", key_id=SEALED.key_id)


def test_rewrapping_does_not_mend_a_row_that_names_another_key() -> None:
    ring = with_new_primary(RING)
    with pytest.raises(SealBroken, match=f"not sealed under {ring.primary}"):
        rewrap_data_key(ring, SEALED.wrapped_data_key, "t-1", key_id=ring.primary)


def test_open_credentials_show_and_pickle_nothing() -> None:
    assert repr(CREDENTIALS) == str(CREDENTIALS) == f"{CREDENTIALS}" == "ClientCredentials(…)"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(CREDENTIALS)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's own")
def test_a_hardened_process_leaves_no_core_file_and_cannot_be_attached_to() -> None:
    script = (
        "import ctypes, resource; from worker.vault import harden_process; harden_process(); harden_process();"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    output = subprocess.check_output([sys.executable, "-c", script], text=True)  # noqa: S603  our own words
    assert output == "(0, 0) 0\n"
