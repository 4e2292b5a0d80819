"""Runs: asked for, claimed under a lease with a fence, renewed, released. The row is the record of the work.

A claim raises the run's fence; whoever comes with an older one writes nothing more. See
`docs/explanation/fleet.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from jobs.canary import Honesty, read_honesty
from jobs.retry import Fate
from worker.postgres.connection import Connection, fetch_row, fetch_rows, fetch_value, in_tenant_rows

RING_BATCH = 500
CLAIM_BATCH = 50


@dataclass(frozen=True, slots=True)
class ClaimedRun:
    """A run held under lease, and the tenant it is for."""

    run_id: UUID
    tenant_id: UUID
    tenant: str
    schema_name: str
    url: str
    mode: str
    attempt: int
    fence: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run that was requested, and its tenant."""

    run_id: UUID
    tenant_id: UUID


@dataclass(frozen=True, slots=True)
class LostRun:
    """A run whose lease ran out, whose worker that was, and whether it is given up or offered again."""

    run_id: UUID
    tenant_id: UUID
    gave_up: bool
    worker: str


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of the scheduler did; `lost` are runs whose worker fell silent."""

    asked: Sequence[PlannedRun]
    due: Sequence[PlannedRun]
    lost: Sequence[LostRun]
    to_ring: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class EndedSlice:
    """Whether the lease was still held, and for how long the instance's breaker is open from now on, if it is."""

    released: bool
    opened_seconds: float | None


Unfinished = Literal["yielded", "handed_over", "stalled"]
"""How a slice ends that did not come to its run's end: with progress; without, since its process stops; without."""


async def plan_round(
    connection: Connection,
    *,
    max_attempts: int,
    again_after_seconds: float,
    starts_per_second: float = 1_000.0,
    most_rings: int = RING_BATCH,
) -> Round:
    """Rescue, request and choose what to ring for; each statement commits on its own."""
    # First, so that what is rescued can be rung for in this very round.
    lost = await fetch_rows(connection, "control", "rescue_runs", max_attempts=max_attempts)
    folded = await fetch_rows(connection, "control", "fold_requests", batch=RING_BATCH)
    due: list[dict[str, Any]] = []
    # Batch by batch, each committed: what one scheduler has taken the others pass over, and none waits for long.
    while batch := await fetch_rows(
        connection, "control", "claim_due_tenants", batch=CLAIM_BATCH, starts_per_second=starts_per_second
    ):
        due.extend(batch)
    rung = await fetch_rows(
        connection, "control", "runs_to_ring", batch=most_rings, again_after_seconds=again_after_seconds
    )
    return Round(
        asked=[PlannedRun(**row) for row in folded],
        due=[PlannedRun(**row) for row in due],
        lost=[LostRun(**row) for row in lost],
        to_ring=[row["runs_to_ring"] for row in rung],
    )


async def claim_run(
    connection: Connection, run_id: UUID, *, worker: str, lease_seconds: float
) -> ClaimedRun | None:
    """Take a run under lease; None when it is not there to be taken, which a late doorbell often finds."""
    row = await fetch_row(
        connection, "control", "claim_run", run=run_id, worker=worker, lease_seconds=lease_seconds
    )
    return ClaimedRun(run_id=run_id, **row) if row else None


async def claim_quarantined(
    connection: Connection, run_id: UUID, *, worker: str, lease_seconds: float
) -> ClaimedRun | None:
    """Take the run of a quarantined revision, to publish it; None while another run of the tenant lives."""
    row = await fetch_row(
        connection, "control", "claim_quarantined", run=run_id, worker=worker, lease_seconds=lease_seconds
    )
    return ClaimedRun(run_id=run_id, **row) if row else None


async def read_canaries(connection: Connection, run: ClaimedRun) -> Honesty | None:
    """Give what the run's canaries found in an earlier slice, None where none has sent them."""
    async with in_tenant_rows(connection, run.tenant_id):
        return read_honesty(await fetch_value(connection, "control", "read_canaries", run=run.run_id))


async def read_run_before(connection: Connection, run: ClaimedRun) -> UUID | None:
    """Give the tenant's newest other run that came to a graph in force."""
    async with in_tenant_rows(connection, run.tenant_id):
        before: UUID | None = await fetch_value(connection, "control", "read_run_before", run=run.run_id)
    return before


async def renew_lease(connection: Connection, run: ClaimedRun, *, lease_seconds: float) -> bool:
    """Hold a run for longer; False when it is no longer ours."""
    return bool(
        await fetch_value(
            connection, "control", "renew_lease", run=run.run_id, fence=run.fence, lease_seconds=lease_seconds
        )
    )


async def yield_run(connection: Connection, run: ClaimedRun, ending: Unfinished = "yielded") -> bool:
    """Put an unfinished run back into the queue with what it staged; False when the lease is lost."""
    ended = await _end_slice(connection, run, ending, 0.0, None, blames_instance=False)
    return ended.released


async def release_failed(connection: Connection, run: ClaimedRun, fate: Fate) -> EndedSlice:
    """End a slice that failed as its fate says."""
    return await _end_slice(
        connection,
        run,
        fate.ending,
        fate.wait_seconds,
        dict(fate.error),
        blames_instance=fate.blames_instance,
    )


async def cancel_run(connection: Connection, run_id: UUID) -> str | None:
    """Cancel a run that lives; gives the state it was in, None where there is none such."""
    state: str | None = await fetch_value(connection, "control", "cancel_run", run=run_id)
    return state


async def read_run_state(connection: Connection, run: ClaimedRun) -> str | None:
    """Give the state of a run that its worker holds no more."""
    async with in_tenant_rows(connection, run.tenant_id):
        state: str | None = await fetch_value(connection, "control", "read_run_state", run=run.run_id)
    return state


async def request_sync(connection: Connection, tenant: str, *, mode: str) -> int:
    """Ask for a run; gives the request's number."""
    return int(await fetch_value(connection, "control", "request_sync", tenant=tenant, mode=mode))


async def read_request(connection: Connection, tenant_id: UUID, request: int) -> UUID | None:
    """Give the run that a request became, None while no scheduler took it up."""
    async with in_tenant_rows(connection, tenant_id):
        run: UUID | None = await fetch_value(connection, "control", "read_request", request=request)
    return run


async def _end_slice(
    connection: Connection, run: ClaimedRun, ending: str, wait_seconds: float, failure: dict[str, Any] | None,
    *, blames_instance: bool,
) -> EndedSlice:  # fmt: skip
    row = await fetch_row(
        connection, "control", "end_slice", run=run.run_id, fence=run.fence, ending=ending,
        wait_seconds=wait_seconds, failure=msgspec.json.encode(failure).decode() if failure else None,
        blames_instance=blames_instance,
    )  # fmt: skip
    assert row is not None
    return EndedSlice(**row)
