"""Opening what a reading needs: the tenant's credentials, in memory, and a client of its instance with them."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID

from jobs.errors import CredentialsMissing, InstanceThrottled, KeyMissing
from jobs.events import CREDENTIAL_OPENED, Emit, Event
from jobs.pace import Pace
from worker.postgres import tenants
from worker.postgres.connection import Connection
from worker.postgres.tenants import Tenant
from worker.servicenow import Client, Limits, open_client
from worker.sync.pace import kept_pace
from worker.sync.parts import Parts
from worker.vault import ClientCredentials, SealedCredentials, open_credentials

_BACKOFF_SECONDS = 1.0  # the ceiling of a request's first wait before another try
_LONGEST_WAIT_SECONDS = 10.0  # where somebody sits before it


@dataclass(frozen=True, slots=True)
class Opened:
    """A tenant's open credentials, and which version of them."""

    credentials: ClientCredentials
    version: int


async def open_stored(
    parts: Parts, connection: Connection, *, tenant_id: UUID, tenant: str, emit: Emit
) -> Opened:
    """Open a tenant's newest credentials and tell of it; CredentialsMissing where none are stored."""
    stored = await tenants.read_credentials(connection, tenant_id)
    if stored is None:
        raise CredentialsMissing(
            f"{tenant} has no credentials: store them with `zaptik credential set {tenant} --client-id ID`."
        )
    sealed = SealedCredentials(stored.wrapped_data_key, stored.key_id, stored.envelope, stored.version)
    credentials = _open_sealed(parts, sealed, tenant=str(tenant_id))
    emit(Event(CREDENTIAL_OPENED, {"version": stored.version, "key_id": stored.key_id}))
    return Opened(credentials, stored.version)


def _open_sealed(parts: Parts, sealed: SealedCredentials, *, tenant: str) -> ClientCredentials:
    """Open by the keys that we hold; where one is missing, by those that there are now."""
    try:
        return open_credentials(parts.keyring, sealed, tenant=tenant)
    except KeyMissing:
        # A rotation may have shared a new key since this process last looked.
        if not parts.renew_keys():
            raise
    return open_credentials(parts.keyring, sealed, tenant=tenant)


def plan_limits(parts: Parts) -> Limits:
    """Give the most that the deployment's settings let a reading ask of an instance."""
    settings = parts.settings
    return Limits(
        page_rows=settings.page_rows,
        request_timeout_seconds=settings.request_timeout_seconds,
        concurrency=settings.instance_concurrency,
        # A deployment that does not wait for a run's next try does not wait for a request's either.
        backoff_seconds=min(_BACKOFF_SECONDS, settings.retry_base_seconds),
    )


def open_instance(
    parts: Parts,
    opened: Opened,
    *,
    tenant_id: UUID,
    url: str,
    limits: Limits,
    pace: Pace,
) -> AbstractAsyncContextManager[Client]:
    """Open a client of a tenant's instance that goes on at the pace which an earlier one left."""
    settings = parts.settings
    return open_client(
        url,
        client_id=opened.credentials.client_id,
        client_secret=opened.credentials.client_secret,
        allowed_hosts=settings.instance_hosts,
        private_ranges=settings.private_ranges,
        trust=parts.trust,
        tokens=parts.tokens,
        token_key=(tenant_id, opened.version),
        limits=limits,
        pace=pace,
    )


def check_no_pause(pace: Pace, tenant: Tenant) -> None:
    """Raise InstanceThrottled while the instance wants nothing asked."""
    if pace.cooldown_seconds:
        raise InstanceThrottled(
            f"The instance of {tenant.name} asked for a pause, of which {math.ceil(pace.cooldown_seconds)} s are "
            "left: nothing was asked. Call again when it is over.",
            after_seconds=pace.cooldown_seconds,
        )


@asynccontextmanager
async def open_patiently(
    parts: Parts, opened: Opened, tenant: Tenant, *, pace: Pace, most_rows: int | None = None
) -> AsyncIterator[Client]:
    """Open a client for a command: one request at a time, no long waits, and what it learns of the pace is kept."""
    most = plan_limits(parts)
    limits = replace(
        most,
        page_rows=min(most.page_rows, most_rows or most.page_rows),
        concurrency=1,
        longest_wait_seconds=_LONGEST_WAIT_SECONDS,
    )
    async with (
        open_instance(
            parts, opened, tenant_id=tenant.tenant_id, url=tenant.url, limits=limits, pace=pace
        ) as client,
        kept_pace(
            client,
            pace,
            tenant_id=tenant.tenant_id,
            url=parts.settings.require_database_url(),
            emit=parts.emit,
            tables=None,
        ),
    ):
        yield client
