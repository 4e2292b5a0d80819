"""What the database keeps of a tenant's credentials: sealed into the form in which it is stored."""

from __future__ import annotations

from uuid import UUID

from worker.postgres import tenants
from worker.postgres.connection import Connection
from worker.postgres.tenants import StoredCredentials
from worker.vault import ClientCredentials, Keys, check_keys_present, seal_credentials


def seal_stored(
    keyring: Keys,
    credentials: ClientCredentials,
    *,
    tenant_id: UUID,
    version: int = 1,
    wrapped_data_key: bytes | None = None,
) -> StoredCredentials:
    """Seal credentials under the tenant's data key, or under a new one where it has none yet."""
    sealed = seal_credentials(
        keyring, credentials, tenant=str(tenant_id), version=version, wrapped_data_key=wrapped_data_key
    )
    return StoredCredentials(sealed.version, sealed.envelope, sealed.key_id, sealed.wrapped_data_key)


async def check_keys(connection: Connection, keyring: Keys) -> None:
    """Raise `KeyMissing` with every key under which something is stored, that the keyring lacks."""
    check_keys_present(keyring, await tenants.read_key_ids(connection))
