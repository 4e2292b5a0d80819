"""Sealing bytes under one key so that they open only where they were sealed.

AES-256-GCM. A sealed value is

    0x01 | length of the key id, 1 byte | key id, UTF-8 | nonce, 12 bytes | ciphertext and tag, 16 bytes

and is bound to its purpose, tenant, credential, version and key id as associated data, each with its length
in four bytes before it: joined without, "ab" + "c" and "a" + "bc" would be the same place. `AESGCM` is used
and not `modes.GCM`, which takes a tag cut to four bytes. Byte by byte, with values to try an implementation on:
`docs/reference/envelope.md`.
"""

import os
import re
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jobs.errors import SealBroken

_LAYOUT: Final = 1
_HEAD_BYTES: Final = 2
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
KEY_BYTES: Final = 32
_DOMAIN: Final = b"zaptik"
# Narrow, since the id of an altered value is printed before the seal is known to hold.
_KEY_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,255}")


def seal(
    key: bytes, key_id: str, plaintext: bytes, *, purpose: str, tenant: str, credential: str, version: int
) -> bytes:
    """Seal bytes under a key of 32 bytes for one purpose, tenant, credential and version."""
    name = key_id.encode()
    if len(key) != KEY_BYTES or not _KEY_ID.fullmatch(name):
        raise ValueError("a key is 32 bytes and its id 1 to 255 letters, digits, dots, hyphens, underscores")
    nonce = os.urandom(_NONCE_BYTES)
    place = _build_associated_data(purpose, tenant, credential, version, key_id)
    return bytes((_LAYOUT, len(name))) + name + nonce + AESGCM(key).encrypt(nonce, plaintext, place)


def open_sealed(
    key: bytes, key_id: str, sealed: bytes, *, purpose: str, tenant: str, credential: str, version: int
) -> bytes:
    """Open a value that was sealed under this key for one purpose, tenant, credential and version.

    `SealBroken`, and never anything else, where it was altered, cut, or sealed under another key or for another place.
    """
    broken = SealBroken(
        f"the sealed {purpose} of tenant {tenant}, version {version}, does not open: it was altered, or "
        "belongs elsewhere; restore it, or store the credentials again"
    )
    parts = _split(sealed)
    if parts is None or parts[0] != key_id:
        raise broken
    place = _build_associated_data(purpose, tenant, credential, version, key_id)
    try:
        return AESGCM(key).decrypt(parts[1], parts[2], place)
    except InvalidTag:
        raise broken from None


def parse_key_id(sealed: bytes) -> str:
    """Give the id of the key under which a value says it is sealed; `SealBroken` where it says nothing."""
    parts = _split(sealed)
    if parts is None:
        raise SealBroken("a sealed value is cut or altered: it names no key; restore it, or store it again")
    return parts[0]


def _split(sealed: bytes) -> tuple[str, bytes, bytes] | None:
    if len(sealed) < _HEAD_BYTES or sealed[0] != _LAYOUT:
        return None
    nonce_at = _HEAD_BYTES + sealed[1]
    name, ciphertext_at = sealed[_HEAD_BYTES:nonce_at], nonce_at + _NONCE_BYTES
    if not _KEY_ID.fullmatch(name) or len(sealed) < ciphertext_at + _TAG_BYTES:
        return None
    return name.decode(), sealed[nonce_at:ciphertext_at], sealed[ciphertext_at:]


def _build_associated_data(purpose: str, tenant: str, credential: str, version: int, key_id: str) -> bytes:
    parts = (_DOMAIN, *(text.encode() for text in (purpose, tenant, credential, str(version), key_id)))
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
