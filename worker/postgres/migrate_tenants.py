"""Bring the schemas of all tenants to the version this code needs: some at a time, and whatever one of them does.

Each tenant is one transaction on one of a few connections. So a `migrate` that was stopped goes on where it was, and
two at once share the work. A connection is left after some tenants: its server process keeps the catalogue of every
schema that it has touched in memory.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import schema
from jobs.errors import Failure
from jobs.events import MIGRATED
from worker.postgres.connection import Connection, fetch_rows
from worker.postgres.provision import (
    grant_in_control,
    lock_tenant,
    mend_schema,
    read_version_as_owner,
    run_script,
)

AT_ONCE = 4  # connections; the work is the server's, and more wait for its processors
_TENANTS_A_CONNECTION = 50

Opening = Callable[[], AbstractAsyncContextManager[Connection]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SchemaToMigrate:
    """A tenant by its name and its reference, and its schema."""

    name: str
    schema_name: str
    tenant_id: UUID


@dataclass(frozen=True, slots=True)
class TenantOutcome:
    """What came of one tenant: `migrated`, `current` or `failed` with what to tell of it."""

    name: str
    outcome: str
    error: str = ""


async def migrate_tenants(
    connection: Connection, *, opening: Opening | None = None, progress: Progress | None = None
) -> list[TenantOutcome]:
    """Migrate every tenant; gives what came of each, by name.

    `opening` opens further connections of the administrator's, of which a few are used side by side; without it the
    given one does everything. `progress` is told how many of how many are done. A failure is one tenant's, unless
    the server is away.
    """
    tenants = [SchemaToMigrate(**row) for row in await fetch_rows(connection, "control", "list_schemas")]
    # What this release grants in `control` before any worker of it finds its tenant's schema migrated.
    had_roles = await _grant_to_all(connection, tenants)
    waiting, outcomes = deque(tenants), dict[str, TenantOutcome]()

    def keep(outcome: TenantOutcome) -> None:
        outcomes[outcome.name] = outcome
        if progress is not None:
            progress(len(outcomes), len(tenants))

    opened = opening or (lambda: _lend(connection))
    lanes = AT_ONCE if opening else 1
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(lanes, len(tenants))):
                group.create_task(_run_lane(waiting, opening=opened, keep=keep))
    except BaseExceptionGroup as raised:
        raise raised.exceptions[0] from None
    await _grant_to_all(connection, [tenant for tenant in tenants if tenant not in had_roles])
    return [outcomes[tenant.name] for tenant in tenants]


async def record_migrated(
    connection: Connection, area: schema.Area, version: int, *, tenant_id: UUID | None
) -> None:
    """Add the audit event of a schema's migration, in the surrounding transaction; it names no tenant."""
    async with connection.transaction():
        await run_script(connection, "SET LOCAL ROLE zaptik_owner")
        await fetch_rows(
            connection, "control", "insert_event", action=MIGRATED.name, tenant_id=tenant_id, run=None,
            detail=json.dumps({"schema": area, "version": version}),
        )  # fmt: skip
        # An enclosing transaction goes on as the administrator.
        await run_script(connection, "SET LOCAL ROLE NONE")


async def _grant_to_all(
    connection: Connection, tenants: Sequence[SchemaToMigrate]
) -> frozenset[SchemaToMigrate]:
    """Grant what the tenants' roles may do in `control`, to those that are there; gives their tenants."""
    names = [tenant.schema_name for tenant in tenants]
    rows = await fetch_rows(connection, "control", "read_with_roles", schema_names=names)
    there = {row["schema_name"] for row in rows}
    async with connection.transaction():
        await grant_in_control(connection, sorted(there))
    return frozenset(tenant for tenant in tenants if tenant.schema_name in there)


@asynccontextmanager
async def _lend(connection: Connection) -> AsyncIterator[Connection]:
    yield connection


async def _run_lane(
    waiting: deque[SchemaToMigrate], *, opening: Opening, keep: Callable[[TenantOutcome], None]
) -> None:
    while waiting:
        async with opening() as connection:
            for _ in range(min(_TENANTS_A_CONNECTION, len(waiting))):
                if waiting:
                    keep(await _migrate_tenant(connection, waiting.popleft()))


async def _migrate_tenant(connection: Connection, tenant: SchemaToMigrate) -> TenantOutcome:
    try:
        async with connection.transaction():
            # First: what another `migrate` does meanwhile is its own to tell of.
            await lock_tenant(connection, tenant.schema_name)
            before = await read_version_as_owner(connection, "tenant", tenant.schema_name)
            version = await mend_schema(connection, tenant.schema_name)
            if version != before:
                await record_migrated(connection, "tenant", version, tenant_id=tenant.tenant_id)
    except Exception as error:
        if connection.closed:
            raise
        return TenantOutcome(tenant.name, "failed", _describe_failure(error))
    return TenantOutcome(tenant.name, "current" if version == before else "migrated")


def _describe_failure(error: Exception) -> str:
    state = getattr(error, "sqlstate", None)
    return error.message if isinstance(error, Failure) else f"{type(error).__name__} {state or ''}".strip()
