"""The values on the page of the envelope are what the page says, and what this code opens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from worker.vault import ClientCredentials, Keyring, SealedCredentials, open_credentials

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "envelope.md").read_text("utf-8")
BLOCKS = [
    {name: bytes.fromhex(text) for name, text in re.findall(r"(?m)^(\w+) += ([0-9a-f]+)$", block)}
    for block in re.findall(r"(?s)```text\n(.+?)```", PAGE)
]
TENANT = "0f7d3c1e-94a5-4a5e-8f21-6f4f7f7a2b10"


def build_associated(*parts: str) -> bytes:
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)


@pytest.mark.parametrize(
    ("block", "purpose", "version", "key_id"),
    [(0, "data-key", "1", "k-vector"), (1, "credential", "7", "data")],
)
def test_a_value_is_laid_out_as_the_page_says(block: int, purpose: str, version: str, key_id: str) -> None:
    """By the page's words alone, without this code."""
    given = BLOCKS[block]
    name, sealed = key_id.encode(), given["sealed"]
    assert (sealed[0], sealed[1]) == (1, len(name))
    assert sealed[2 : 2 + len(name)] == name
    assert sealed[2 + len(name) : 14 + len(name)] == given["nonce"]
    assert len(sealed) == 30 + len(name) + len(given["plaintext"])
    associated = build_associated("zaptik", purpose, TENANT, "servicenow-oauth-client", version, key_id)
    assert given["associated"] == associated
    opened = AESGCM(given["key"]).decrypt(given["nonce"], sealed[14 + len(name) :], associated)
    assert opened == given["plaintext"]
    assert f"`{purpose}`" in PAGE


def test_the_values_of_the_page_open_here() -> None:
    data_key, credential = BLOCKS
    assert credential["key"] == data_key["plaintext"]
    sealed = SealedCredentials(data_key["sealed"], "k-vector", credential["sealed"], 7)
    ring = Keyring("k-vector", {"k-vector": data_key["key"]})
    assert open_credentials(ring, sealed, tenant=TENANT) == ClientCredentials("a client", "a secret")
