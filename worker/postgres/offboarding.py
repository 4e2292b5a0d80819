"""Tenants on their way out: asked for, called off, and listed. Deleting them is `deletion`.

As an administrator, but for the list. From the request on a tenant runs nothing: its state says so, which the app's
login cannot change, and a run that lives is cancelled, so that its worker leaves it at its next page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from jobs.events import OFFBOARDING_CANCELLED, OFFBOARDING_REQUESTED, Event
from jobs.leaving import TenantLeaves, TenantStays, check_reference, plan_due
from worker.postgres.connection import Connection, fetch_row, fetch_rows, fetch_value
from worker.postgres.tenants import Tenant, find_tenant, insert_events


@dataclass(frozen=True, slots=True)
class Offboarding:
    """A tenant that leaves: under which reference, since when, by when; `begun_at` where its deletion has begun."""

    tenant_id: UUID
    tenant: str
    schema_name: str
    url: str
    reference: str
    requested_at: datetime
    due_at: datetime
    begun_at: datetime | None


async def read_offboardings(connection: Connection) -> list[Offboarding]:
    """Give every tenant that leaves, the first to be deleted first. The app may."""
    return [Offboarding(**row) for row in await fetch_rows(connection, "control", "read_offboardings")]


async def read_clock(connection: Connection) -> datetime:
    """Give the time by the database, which decides what is due: a machine's own clock may be wrong."""
    now: datetime = await fetch_value(connection, "control", "read_clock")
    return now


async def request_offboarding(
    connection: Connection, name: str, *, reference: str, at: datetime | None = None
) -> Offboarding:
    """Record a written request, and stop the tenant; the same again changes nothing.

    `at` is when it was made, by the database's clock where it is not given. Raises UnknownTenant, InvalidReference, or
    TenantLeaves where it was asked for under another reference.
    """
    async with as_owner(connection):
        tenant = await find_tenant(connection, name)
        given = check_reference(reference, name=tenant.name, url=tenant.url)
        requested_at = at or await read_clock(connection)
        due_at = plan_due(requested_at)
        added = await fetch_rows(
            connection, "control", "add_offboarding",
            tenant_id=tenant.tenant_id, reference=given, requested_at=requested_at, due_at=due_at,
        )  # fmt: skip
        if added:
            fields = {"reference": given, "due_at": due_at.isoformat()}
            event = Event(OFFBOARDING_REQUESTED, fields, tenant=str(tenant.tenant_id))
            await insert_events(connection, [event])
    # In a transaction of its own: a worker's last statement holds the run and waits for the tenant.
    await cancel_live_run(connection, tenant.tenant_id)
    leaving = await find_offboarding(connection, name)
    if leaving.reference != given:
        raise TenantLeaves(
            f"{name} leaves already, under another reference, {leaving.reference!a}: nothing was changed. Call that "
            f"off first, by `zaptik tenant offboard {name} --cancel`, or go on under it."
        )
    return leaving


async def cancel_offboarding(connection: Connection, name: str) -> Tenant:
    """Call a tenant's deletion off: it goes on as it was. TenantStays where there is none, or it has begun."""
    async with as_owner(connection):
        tenant = await find_tenant(connection, name)
        kept = await fetch_row(connection, "control", "cancel_offboarding", tenant_id=tenant.tenant_id)
        if kept is None:
            raise TenantStays(
                f"Nobody asked for the deletion of {name}, or it has begun and its credentials are gone: nothing was "
                "changed. `zaptik tenant list` shows which."
            )
        event = Event(OFFBOARDING_CANCELLED, {"reference": kept["reference"]}, tenant=str(tenant.tenant_id))
        await insert_events(connection, [event])
        return await find_tenant(connection, name)


async def find_offboarding(connection: Connection, name: str) -> Offboarding:
    """Find a tenant that leaves; UnknownTenant where there is none of that name, TenantStays where it does not."""
    async with as_owner(connection):
        await find_tenant(connection, name)
        found = [one for one in await read_offboardings(connection) if one.tenant == name]
    if not found:
        raise TenantStays(
            f"Nobody asked for the deletion of {name}: name the written request by --reference, and it is recorded."
        )
    return found[0]


async def cancel_live_run(connection: Connection, tenant_id: UUID) -> None:
    """Cancel a tenant's run that waits or is under way, if there is one."""
    async with as_owner(connection):
        await fetch_rows(connection, "control", "cancel_live_run", tenant_id=tenant_id)


@asynccontextmanager
async def as_owner(connection: Connection) -> AsyncIterator[None]:
    """Be the owner of `control` for one transaction, as an administrator."""
    async with connection.transaction():
        await connection.execute("SET LOCAL ROLE zaptik_owner")
        yield
        # An enclosing transaction goes on as the administrator.
        await connection.execute("SET LOCAL ROLE NONE")
