"""A tenant's OAuth client credentials, sealed for the database and opened in memory.

Each tenant has a random data key, wrapped by the deployment's primary key; the data key seals the
credentials. So rotating the deployment's key rewraps a few bytes a tenant, and deleting the data key shreds
the tenant. What is sealed goes to the database as it is; what is open is an argument, and kept nowhere.
"""

import json
import secrets
from dataclasses import dataclass
from typing import Final, NoReturn

from jobs.errors import KeyMissing, SealBroken
from worker.vault.envelope import KEY_BYTES, open_sealed, parse_key_id, seal
from worker.vault.keyring import Keyring, Keys

_CREDENTIAL: Final = "servicenow-oauth-client"
_DATA_KEY_ID: Final = "data"
_DATA_KEY_VERSION: Final = 1  # a tenant has one data key for life; another one is another tenant


@dataclass(frozen=True, slots=True, repr=False)
class ClientCredentials:
    """The client id and secret of one tenant, in clear. Neither shown nor pickled."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return "ClientCredentials(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not pickled")


@dataclass(frozen=True, slots=True)
class SealedCredentials:
    """What the database keeps; `key_id` is the deployment's key that wrapped the data key."""

    wrapped_data_key: bytes
    key_id: str
    envelope: bytes
    version: int


def new_data_key(keyring: Keyring, tenant: str) -> bytes:
    """Make a random data key for a tenant, named by its opaque reference, and give it wrapped."""
    return _wrap(keyring, secrets.token_bytes(KEY_BYTES), tenant)


def rewrap_data_key(keyring: Keyring, wrapped_data_key: bytes, tenant: str, *, key_id: str) -> bytes:
    """Wrap a tenant's data key by the primary key; the credentials under it stay as they are.

    `key_id` is the key that wrapped it, as its row says; `SealBroken` where that is not so, or it does not open.
    """
    _check_named(wrapped_data_key, key_id, tenant)
    return _wrap(keyring, _unwrap(keyring, wrapped_data_key, tenant), tenant)


def seal_credentials(
    keyring: Keys,
    credentials: ClientCredentials,
    *,
    tenant: str,
    version: int,
    wrapped_data_key: bytes | None = None,
) -> SealedCredentials:
    """Seal credentials under the tenant's data key, or under a new one where it has none yet."""
    # Taken once: the keyring may be another one between wrapping and unwrapping.
    ring = keyring.now()
    wrapped = new_data_key(ring, tenant) if wrapped_data_key is None else wrapped_data_key
    document = {"client_id": credentials.client_id, "client_secret": credentials.client_secret}
    envelope = seal(
        _unwrap(ring, wrapped, tenant),
        _DATA_KEY_ID,
        json.dumps(document).encode(),
        purpose="credential",
        tenant=tenant,
        credential=_CREDENTIAL,
        version=version,
    )
    return SealedCredentials(wrapped, parse_key_id(wrapped), envelope, version)


def open_credentials(keyring: Keys, sealed: SealedCredentials, *, tenant: str) -> ClientCredentials:
    """Open a tenant's credentials; `KeyMissing` or `SealBroken` where they are not this tenant's, whole."""
    _check_named(sealed.wrapped_data_key, sealed.key_id, tenant)
    data_key = _unwrap(keyring.now(), sealed.wrapped_data_key, tenant)
    plaintext = open_sealed(
        data_key,
        _DATA_KEY_ID,
        sealed.envelope,
        purpose="credential",
        tenant=tenant,
        credential=_CREDENTIAL,
        version=sealed.version,
    )
    document = json.loads(plaintext)
    return ClientCredentials(document["client_id"], document["client_secret"])


def _check_named(wrapped_data_key: bytes, key_id: str, tenant: str) -> None:
    # By the row's word it is counted which keys are needed: one that lies would let a needed key be dropped.
    if parse_key_id(wrapped_data_key) != key_id:
        raise SealBroken(
            f"the data-key of tenant {tenant} is not sealed under {key_id}, as its row says: restore the row, or store "
            "the credentials again"
        )


def _wrap(keyring: Keyring, data_key: bytes, tenant: str) -> bytes:
    return seal(
        keyring.primary_key,
        keyring.primary,
        data_key,
        purpose="data-key",
        tenant=tenant,
        credential=_CREDENTIAL,
        version=_DATA_KEY_VERSION,
    )


def _unwrap(keyring: Keyring, wrapped_data_key: bytes, tenant: str) -> bytes:
    key_id, keys = parse_key_id(wrapped_data_key), keyring.keys
    if key_id not in keys:
        raise KeyMissing(
            f"the data-key of tenant {tenant} is sealed under {key_id}, which the keyring lacks: put the key back into "
            "it; docs/runbooks/key-missing.md says where it may be"
        )
    return open_sealed(
        keys[key_id],
        key_id,
        wrapped_data_key,
        purpose="data-key",
        tenant=tenant,
        credential=_CREDENTIAL,
        version=_DATA_KEY_VERSION,
    )
