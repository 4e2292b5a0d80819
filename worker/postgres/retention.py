"""Letting old revisions go, one tenant at a time, under a lease in the tenant's schema, in short transactions.

First the revisions with their lines in the feed, at once; then, batch by batch, what no kept revision shows, and old
runs: so that whoever is killed in between leaves every revision that can still be asked for as it was. Which may go
is the schema's rule (`forget_revisions`, `prune_history`, `control.forget_runs`), not a caller's. See
docs/how-to/keep-and-delete.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Literal

from jobs.events import RETENTION_RAN, Event
from worker.postgres.connection import Connection, as_tenant, fetch_row, fetch_rows, in_tenant_rows
from worker.postgres.reading import read_fleet
from worker.postgres.staging import check_version
from worker.postgres.tenants import Tenant, insert_events

_LEASE_SECONDS = 300.0
_BATCH_ROWS = 5_000

Ending = Literal["done", "held", "unfinished"]


@dataclass(frozen=True, slots=True)
class Let:
    """How many rows went, and `oldest`, the number of the oldest revision that is kept."""

    oldest: int | None = None
    revisions: int = 0
    feed: int = 0
    nodes: int = 0
    edges: int = 0
    findings: int = 0
    reads: int = 0
    runs: int = 0
    requests: int = 0

    def __add__(self, other: Let) -> Let:
        """Add what went; the later `oldest` holds."""
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return Let(other.oldest if other.oldest is not None else self.oldest, **counts)

    def __bool__(self) -> bool:
        """Whether anything went."""
        return any(getattr(self, name) for name in _COUNTS)

    def counts(self) -> dict[str, int | None]:
        """Give it as fields of an event or a document."""
        return asdict(self)


_COUNTS = tuple(field.name for field in fields(Let) if field.name != "oldest")


@dataclass(frozen=True, slots=True)
class Keeping:
    """How one keeps: by whom, revisions and runs for how many days, and how long after a turn the next is due."""

    holder: str
    keep_days: int
    keep_run_days: int = 90
    every_seconds: float = 0.0


async def list_tenants(connection: Connection) -> list[Tenant]:
    """Give every tenant but those that leave: what is left of them goes as a whole."""
    return [
        Tenant(
            row["tenant_id"], row["tenant"], row["schema_name"], row["url"], row["every_seconds"], row["state"],
            row["state_reason"],
        )
        for row in await read_fleet(connection)
        if row["state"] != "offboarding"
    ]  # fmt: skip


async def let_go(
    connection: Connection, tenant: Tenant, keeping: Keeping, *, most_batches: int | None = None
) -> tuple[Ending, Let]:
    """Let a tenant's old revisions go, and what only they showed; say how it ended and what went.

    `held` where somebody else is at it, or it is not due; `unfinished` after `most_batches`, and then the lease is
    held on to for another call. Each transaction's counts are an audit event in it.
    """
    await check_version(connection, tenant.schema_name)
    gone, batches = Let(), 0
    while most_batches is None or batches < most_batches:
        step = await _step(connection, tenant, keeping)
        if step is None:
            return "held", gone
        gone, batches = gone + step, batches + 1
        if not step:
            return "done", gone
    return "unfinished", gone


async def _step(connection: Connection, tenant: Tenant, keeping: Keeping) -> Let | None:
    """Do one transaction's part under the lease; None without it. The last one, which finds nothing, gives it back."""
    within = tenant.schema_name
    async with in_tenant_rows(connection, tenant.tenant_id):
        async with as_tenant(connection, within):
            held = await fetch_row(
                connection, "tenant", "hold_retention", within=within, holder=keeping.holder,
                lease_seconds=_LEASE_SECONDS, every_seconds=keeping.every_seconds,
            )  # fmt: skip
            if held is None:
                return None
            # The lease and the deletion are one transaction: who is killed in it has neither.
            gone = await _delete(connection, within, keep_days=keeping.keep_days)
        await connection.execute("SET LOCAL ROLE NONE")  # runs and the trail are the app's
        gone += await _forget_runs(connection, tenant, keeping)
        if gone:
            event = Event(RETENTION_RAN, gone.counts(), tenant=str(tenant.tenant_id))
            await insert_events(connection, [event])
        else:
            await fetch_rows(connection, "control", "note_retention", tenant_id=tenant.tenant_id)
            await _end(connection, within, keeping.holder)
    return gone


async def _forget_runs(connection: Connection, tenant: Tenant, keeping: Keeping) -> Let:
    gone = await fetch_row(
        connection, "control", "forget_runs",
        tenant_id=tenant.tenant_id, keep_days=keeping.keep_run_days, batch=_BATCH_ROWS,
    )  # fmt: skip
    return Let(**(gone or {}))


async def _end(connection: Connection, within: str, holder: str) -> None:
    async with as_tenant(connection, within):
        await fetch_rows(connection, "tenant", "end_retention", within=within, holder=holder)


async def _delete(connection: Connection, within: str, *, keep_days: int) -> Let:
    revisions = await fetch_row(connection, "tenant", "forget_revisions", within=within, keep_days=keep_days)
    history = await fetch_row(connection, "tenant", "prune_history", within=within, batch=_BATCH_ROWS)
    reads = await fetch_row(connection, "tenant", "forget_reads", within=within, batch=_BATCH_ROWS)
    return Let(**(revisions or {}), **(history or {}), **(reads or {}))
