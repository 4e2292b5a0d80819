"""Many tenants of a stack that read one simulated instance."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ops.local.stack import DATABASE, Stack
from worker.postgres.connection import in_tenant_rows, open_connection
from worker.postgres.tenants import add_tenant, store_credentials
from worker.settings import read_settings
from worker.sync import seal_stored
from worker.vault import ClientCredentials, read_keyring


def add_tenants(stack: Stack, instance: str, names: Sequence[str], *, every_seconds: int) -> None:
    """Add tenants to an instance of the stack, with its tenant's credentials; they are due at once."""
    asyncio.run(_add(stack, instance, names, every_seconds=every_seconds))


async def _add(stack: Stack, instance: str, names: Sequence[str], *, every_seconds: int) -> None:
    settings = read_settings(stack.settings())
    keyring = read_keyring(settings)
    client = ClientCredentials(stack.client_id(instance), stack.client_secrets[instance])
    async with (
        open_connection(stack.admin_database_url(DATABASE), purpose="bench") as admin,
        open_connection(settings.require_database_url(), purpose="bench") as app,
    ):
        for name in names:
            url = stack.instances[instance].url
            tenant = await add_tenant(admin, name, url=url, every_seconds=every_seconds)
            stored = seal_stored(keyring, client, tenant_id=tenant.tenant_id)
            async with in_tenant_rows(app, tenant.tenant_id):
                await store_credentials(app, tenant.tenant_id, stored)
