"""Revisions that wait for a person: listing all, accepting one as it is, rejecting one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from jobs.errors import NotQuarantined, RunLive
from jobs.events import REVISION_REJECTED, Event
from jobs.surface import Surface
from worker.postgres import runs, staging
from worker.postgres.connection import Connection, as_tenant, fetch_row, fetch_rows, in_tenant_rows
from worker.postgres.publishing import Publication, publish_held
from worker.postgres.tenants import Tenant, insert_events, refuse_leaving


async def read_revisions(connection: Connection, tenant: Tenant) -> list[dict[str, Any]]:
    """Give all revisions of a tenant, the newest first."""
    async with as_tenant(connection, tenant.schema_name):
        return await fetch_rows(connection, "tenant", "read_revisions", within=tenant.schema_name)


async def accept_revision(
    connection: Connection, tenant: Tenant, revision: int | None, *, surface: Surface, worker: str,
    lease_seconds: float,
) -> Publication:  # fmt: skip
    """Publish the revision that waits as it is, under its run's lease and a new fence.

    Raises NotQuarantined when that revision does not wait, RunLive while another run of the tenant lives.
    """
    refuse_leaving(tenant)
    number, run_id = await _find_held(connection, tenant, revision)
    run = await runs.claim_quarantined(connection, run_id, worker=worker, lease_seconds=lease_seconds)
    if run is None:
        raise RunLive(
            f"A run of {tenant.name} is under way, or somebody decides about revision {number} at this moment: see "
            f"`zaptik runs {tenant.name}` and call again when it has ended."
        )
    reads = staging.sort_reads(await staging.read_progress(connection, run))
    return await publish_held(connection, run, surface=surface, reads=reads, revision=number)


async def reject_revision(connection: Connection, tenant: Tenant, revision: int | None) -> int:
    """Drop the revision that waits and what its run staged; gives its number. Raises NotQuarantined."""
    number, run_id = await _find_held(connection, tenant, revision)
    within, reference = tenant.schema_name, str(tenant.tenant_id)
    async with in_tenant_rows(connection, tenant.tenant_id):
        # Told before the transaction becomes the tenant's role, which may add the events of its live run alone.
        rejected = Event(REVISION_REJECTED, {"revision": number}, tenant=reference, run=str(run_id))
        await insert_events(connection, [rejected])
        async with as_tenant(connection, within):
            released = await fetch_rows(
                connection, "tenant", "release_revision", within=within, run=run_id, state="rejected"
            )
            if not released:
                raise NotQuarantined(f"Revision {number} of {tenant.name} was decided on at this moment.")
            await fetch_rows(connection, "tenant", "drop_staged", within=within, run=run_id)
    return number


async def _find_held(connection: Connection, tenant: Tenant, revision: int | None) -> tuple[int, UUID]:
    async with as_tenant(connection, tenant.schema_name):
        held = await fetch_row(connection, "tenant", "read_held", within=tenant.schema_name)
    if held is None or revision not in {None, held["revision"]}:
        waits = "No revision of {0} waits" if revision is None else "Revision {1} of {0} does not wait"
        raise NotQuarantined(
            f"{waits.format(tenant.name, revision)} for a decision: `zaptik revision list {tenant.name}` shows them."
        )
    return held["revision"], held["run_id"]
