"""Deleting a tenant, as an administrator: what can never be undone, in an order in which it can be cut off anywhere.

First its credentials and data key, in a transaction of their own: from then on nothing of it opens. Then the rest, in
one transaction: its schema, its roles, its consumers' grants and its rows in `control`. Whoever is cut off before that
is committed has left the tenant whole but for its credentials, and calls again. Its audit events stay, under a
reference that nothing leads back from.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

from psycopg import sql

from jobs.certificate import Tombstone
from jobs.events import OFFBOARDING_BEGUN, TENANT_DELETED, Event
from jobs.leaving import TenantStays
from jobs.names import reader_role
from worker.postgres.connection import Connection, fetch_row, fetch_rows, fetch_value
from worker.postgres.consumers import list_consumers, revoke_consumer
from worker.postgres.offboarding import (
    Offboarding,
    as_owner,
    cancel_live_run,
    find_offboarding,
    request_offboarding,
)
from worker.postgres.provision import lock_roles
from worker.postgres.tenants import insert_events

_BOUNDS = "SET LOCAL lock_timeout = '60s'", "SET LOCAL statement_timeout = '15min'"


@dataclass(frozen=True, slots=True)
class Deletion:
    """What was deleted of a tenant, when, and how many rows of each table of its schema and of `control`."""

    leaving: Offboarding
    deleted_at: datetime
    graph: Mapping[str, int]
    control: Mapping[str, int]
    roles: tuple[str, ...]
    consumers: int


async def begin_deletion(connection: Connection, leaving: Offboarding) -> list[UUID]:
    """Delete a tenant's credentials and data key, from where there is no way back; gives the ids of its runs.

    Raises TenantStays where this request was called off, or the tenant is deleted, since it was read.
    """
    # Again, before the keys go: who asked may have been cut off before the run was cancelled.
    await cancel_live_run(connection, leaving.tenant_id)
    async with as_owner(connection):
        begun = await fetch_row(
            connection, "control", "begin_deletion",
            tenant_id=leaving.tenant_id, reference=leaving.reference, requested_at=leaving.requested_at,
        )  # fmt: skip
        if begun is None:
            raise _build_stays(leaving)
        await fetch_rows(connection, "control", "shred_tenant", tenant_id=leaving.tenant_id)
        if begun["is_new"]:
            fields = {"reference": leaving.reference}
            event = Event(OFFBOARDING_BEGUN, fields, tenant=str(leaving.tenant_id))
            await insert_events(connection, [event])
        rows = await fetch_rows(connection, "control", "read_run_ids", tenant_id=leaving.tenant_id)
    return [row["run_id"] for row in rows]


@asynccontextmanager
async def deleting(connection: Connection, leaving: Offboarding) -> AsyncIterator[Deletion]:
    """Delete all of a tenant; it is done when the block ends, and undone where the block fails.

    In the block its certificate is written and `record_deletion` called. Raises DatabaseBusy where somebody reads the
    graph and does not let go of it within a minute, and TenantStays where somebody else has done it meanwhile.
    """
    async with connection.transaction():
        # Bounded: a DROP waits behind whoever reads the graph, and whoever comes after it waits behind the DROP.
        for bound in _BOUNDS:
            await connection.execute(sql.SQL(bound))
        async with as_owner(connection):
            held = await fetch_row(connection, "control", "hold_deletion", tenant_id=leaving.tenant_id)
        if held is None:
            raise _build_stays(leaving)
        graph = await _count_rows(connection, leaving.schema_name)
        await lock_roles(connection)
        consumers = [one.login for one in await list_consumers(connection) if one.tenant == leaving.tenant]
        for login in consumers:
            await revoke_consumer(connection, login, tenant=leaving.tenant)
        roles = (leaving.schema_name, reader_role(leaving.schema_name))
        await _drop(connection, leaving.schema_name, roles)
        async with as_owner(connection):
            # In a statement of its own: what is added until it has the row, the next one sees.
            await fetch_rows(connection, "control", "hold_tenant", tenant_id=leaving.tenant_id)
            gone = await fetch_row(connection, "control", "delete_tenant", tenant_id=leaving.tenant_id)
        assert gone is not None
        yield Deletion(leaving, gone["deleted_at"], graph, gone["gone"], roles, len(consumers))


async def record_deletion(
    connection: Connection, deletion: Deletion, *, reason: str, certificate: str
) -> None:
    """Add the audit event of a deletion with its certificate's digest, in the surrounding transaction."""
    leaving = deletion.leaving
    fields = {
        "reason": reason,
        "reference": leaving.reference,
        "requested_at": leaving.requested_at.isoformat(),
        "deleted": {**deletion.graph, **deletion.control},
        "certificate": certificate,
    }
    async with as_owner(connection):
        await insert_events(connection, [Event(TENANT_DELETED, fields, tenant=str(leaving.tenant_id))])


async def delete_again(connection: Connection, tombstone: Tombstone) -> bool:
    """Delete a tenant that a restored backup brought back; False where it is not there."""
    async with as_owner(connection):
        name = await fetch_value(connection, "control", "read_name", tenant_id=tombstone.tenant_id)
    if name is None:
        return False
    try:
        leaving = await find_offboarding(connection, name)
    except TenantStays:
        leaving = await request_offboarding(connection, name, reference=tombstone.reference)
    await begin_deletion(connection, leaving)
    async with deleting(connection, leaving) as done:
        await record_deletion(connection, done, reason="restored", certificate=tombstone.certificate)
    await tidy_statistics(connection, leaving)
    return True


async def tidy_statistics(connection: Connection, leaving: Offboarding) -> None:
    """Make the statistics anew that hold samples of what is gone: names, addresses, messages, of the catalogue too."""
    words = [leaving.tenant, leaving.schema_name.removeprefix("tenant_"), urlsplit(leaving.url).netloc]
    for row in await fetch_rows(connection, "control", "read_sampled", words=words):
        table = sql.Identifier(row["schema_name"], row["table_name"])
        await connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(table))


def _build_stays(leaving: Offboarding) -> TenantStays:
    return TenantStays(
        f"The request {leaving.reference!a} to delete {leaving.tenant} is there no more: it was called off, or "
        "somebody else has deleted the tenant. Nothing was done here."
    )


async def _count_rows(connection: Connection, tenant_schema: str) -> dict[str, int]:
    tables = await fetch_rows(connection, "control", "read_tenant_tables", schema_name=tenant_schema)
    counts: dict[str, int] = {}
    for row in tables:
        table = sql.Identifier(tenant_schema, row["name"])
        cursor = await connection.execute(sql.SQL("SELECT count(*) AS rows FROM {}").format(table))
        counts[row["name"]] = int((await cursor.fetchone() or {})["rows"])
    return counts


async def _drop(connection: Connection, tenant_schema: str, roles: tuple[str, ...]) -> None:
    schema = sql.Identifier(tenant_schema)
    await connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(schema))
    for role in roles:
        there = await fetch_value(connection, "control", "read_role", role=role)
        if there:
            name = sql.Identifier(role)
            # A role that still has rights somewhere, as in `control`, cannot be dropped.
            await connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
            await connection.execute(sql.SQL("DROP ROLE {}").format(name))
