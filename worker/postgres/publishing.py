"""Publish: from staged pages to a revision, in one transaction that readers see whole or not at all.

The delta is computed by PostgreSQL from hashes; what is the same is not touched. Only what complete reads no
longer gave is closed. A revision that would remove too much is tried and undone, and waits for a person. The
last statement is the fence's compare-and-set, so that renewal never waits on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from jobs.events import REVISION_ACCEPTED, REVISION_QUARANTINED, Event
from jobs.guard import Guard, Removal, judge_removals
from jobs.surface import Surface
from worker.postgres import discovering
from worker.postgres.connection import Connection, as_tenant, fetch_row, fetch_rows, fetch_value
from worker.postgres.findings import publish_findings
from worker.postgres.runs import ClaimedRun
from worker.postgres.staging import Reads, lease_lost, record_alone, record_events


@dataclass(frozen=True, slots=True)
class Publication:
    """What publishing came to: `published`, `unchanged` at the revision in force, or `quarantined` with a reason."""

    outcome: str
    revision: int
    nodes: int
    edges: int
    added: int
    changed: int
    removed: int
    reason: str | None = None


async def publish_run(
    connection: Connection, run: ClaimedRun, *, surface: Surface, reads: Reads, as_of: datetime,
    events: Sequence[Event], guard: Guard | None = None,
) -> Publication:  # fmt: skip
    """Publish what the run staged; raises LeaseLost, and then nothing was written.

    `as_of` is when the reading began. Records noted as gone leave. Without a guard nothing is quarantined.
    """
    within = run.schema_name
    # Apart from the rest, so that a late worker learns it before the long part and renewal waits for nothing.
    await record_alone(connection, run, requests=0, events=[])
    async with as_tenant(connection, within):
        current = await fetch_row(connection, "tenant", "read_current_revision", within=within)
        revision = int(
            await fetch_value(connection, "tenant", "next_revision", within=within, run=run.run_id)
        )
        is_complete = await _is_complete(connection, run, reads)
        times = {"as_of": as_of, "complete_as_of": as_of if is_complete else None}
        # Judged by what was noted as gone, before anything is compared: the guard looks at what leaves.
        reason = await _judge_removals(connection, run, guard, surface=surface) if guard else None
        if reason is not None:
            result, total = await _try(
                connection, run, surface=surface, reads=reads, revision=revision, reason=reason
            )
            await _record_revision(
                connection, run, result, query="hold_revision", reason=reason, **total, **times
            )
            held = {"revision": revision, "reason": reason, "removed": result.removed}
            events = [*events, Event(REVISION_QUARANTINED, held)]
        else:
            changes = await _compare(connection, run, surface=surface, reads=reads, revision=revision)
            # The first revision is made even of an empty graph: consumers have something to follow from then on.
            if current is not None and not any(changes.values()):
                sizes = {name: current[name] for name in ("revision", "nodes", "edges")}
                result = Publication("unchanged", **sizes, **changes, reason=None)
                await _keep_check(connection, run, result, **times)
            else:
                total = await _read_total(connection, run)
                result = _build_result("published", revision, total, changes)
                await _record_revision(connection, run, result, query="add_revision", **total, **times)
                await fetch_rows(connection, "tenant", "notify_revision", within=within)
            await publish_findings(
                connection, run, surface=surface, revision=result.revision, outcome=result.outcome
            )
            await fetch_rows(connection, "tenant", "drop_staged", within=within, run=run.run_id)
        await _supersede(connection, run)
        # These two last: they hold the run's row, and renewing the lease would wait for that through all the rest.
        await record_events(connection, run, events, requests=0, records=0)
        await _finish(connection, run, result, as_of)
    return result


async def publish_held(
    connection: Connection, run: ClaimedRun, *, surface: Surface, reads: Reads, revision: int
) -> Publication:
    """Publish a quarantined revision as it was found; its run must be claimed. LeaseLost: nothing was written."""
    within = run.schema_name
    async with as_tenant(connection, within):
        changes = await _compare(connection, run, surface=surface, reads=reads, revision=revision)
        total = await _read_total(connection, run)
        result = _build_result("published", revision, total, changes)
        await publish_findings(connection, run, surface=surface, revision=revision, outcome=result.outcome)
        released = await fetch_rows(
            connection, "tenant", "release_revision", within=within, run=run.run_id, state="published"
        )
        if not released:
            raise lease_lost(run.run_id)
        await fetch_rows(connection, "tenant", "announce_revision", within=within, run=run.run_id)
        await fetch_rows(connection, "tenant", "notify_revision", within=within)
        await fetch_rows(connection, "tenant", "drop_staged", within=within, run=run.run_id)
        accepted = Event(REVISION_ACCEPTED, {"revision": revision})
        await record_events(connection, run, [accepted], requests=0, records=0)
        await _finish(connection, run, result, run.started_at)
    return result


async def drop_abandoned(connection: Connection, run: ClaimedRun) -> None:
    """Forget what earlier runs of the tenant staged and never published, unless it waits for a person.

    Raises LeaseLost, and then nothing is forgotten: a late worker must not drop what a newer run stages.
    """
    within = run.schema_name
    async with as_tenant(connection, within):
        await record_events(connection, run, [], requests=0, records=0)
        await fetch_rows(connection, "tenant", "drop_abandoned", within=within, run=run.run_id)
        await fetch_rows(connection, "tenant", "restart_unkeyed", within=within, run=run.run_id)


async def _is_complete(connection: Connection, run: ClaimedRun, reads: Reads) -> bool:
    """Say whether the graph is to be all that the instance has: of a table that went, something may have stayed."""
    if not reads.lack_nothing:
        return False
    stayed = await fetch_value(
        connection, "tenant", "has_rows_of", within=run.schema_name, tables=list(reads.absent)
    )
    return not stayed


async def _judge_removals(
    connection: Connection, run: ClaimedRun, guard: Guard, *, surface: Surface
) -> str | None:
    within = run.schema_name
    rows = await fetch_rows(
        connection, "tenant", "read_removals", within=within, run=run.run_id, links=list(surface.links)
    )
    emptied = await fetch_rows(connection, "tenant", "read_emptied", within=within, run=run.run_id)
    return judge_removals(
        guard, [Removal(**row) for row in rows], emptied=[row["table_name"] for row in emptied]
    )


async def _compare(
    connection: Connection, run: ClaimedRun, *, surface: Surface, reads: Reads, revision: int
) -> dict[str, int]:
    """Bring the graph to what the run staged; give how many nodes and edges were added, changed, removed."""
    within = run.schema_name
    nodes = await fetch_row(
        connection, "tenant", "publish_nodes", within=within, run=run.run_id, revision=revision,
        subclasses=reads.name_subclasses(surface),
    )  # fmt: skip
    bases = list(surface.bases)
    await fetch_rows(connection, "tenant", "note_missing", within=within, run=run.run_id, surface=bases)
    edges = await fetch_row(
        connection, "tenant", "publish_edges", within=within, run=run.run_id, revision=revision,
        closing=list(reads.closing), listed=list(reads.listed), surface=bases,
        subclasses=reads.name_subclasses(surface), parents=list(surface.parents),
    )  # fmt: skip
    await fetch_rows(connection, "tenant", "forget_missing", within=within)
    await _remember(connection, run, surface=surface, reads=reads)
    assert nodes is not None
    assert edges is not None
    return {change: nodes[change] + edges[change] for change in ("added", "changed", "removed")}


async def _remember(connection: Connection, run: ClaimedRun, *, surface: Surface, reads: Reads) -> None:
    """Keep what the next run may go on from."""
    within = run.schema_name
    names = [table.name for table in surface.tables.values() if table.can_be_reread]
    await fetch_rows(
        connection, "tenant", "remember_records", within=within, run=run.run_id, listed=list(reads.listed),
        tables=names,
    )  # fmt: skip
    await fetch_rows(connection, "tenant", "remember_tables", within=within, run=run.run_id, tables=names)
    await discovering.forget_unread(connection, run, listed=reads.listed, tables=names)


async def _try(
    connection: Connection, run: ClaimedRun, *, surface: Surface, reads: Reads, revision: int,
    reason: str,
) -> tuple[Publication, dict[str, Any]]:  # fmt: skip
    """Find out what a revision would come to, and undo it."""
    async with connection.transaction() as tried:
        changes = await _compare(connection, run, surface=surface, reads=reads, revision=revision)
        total = await _read_total(connection, run)
        result = _build_result("quarantined", revision, total, changes, reason=reason)
        # The inner transaction alone is undone (a savepoint): counts and reason are recorded in the outer one.
        raise psycopg.Rollback(tried)
    return result, total


def _build_result(
    outcome: str, revision: int, total: dict[str, Any], changes: dict[str, int], *, reason: str | None = None
) -> Publication:
    return Publication(outcome, revision, total["nodes"], total["edges"], reason=reason, **changes)


async def _read_total(connection: Connection, run: ClaimedRun) -> dict[str, Any]:
    total = await fetch_row(connection, "tenant", "read_digest", within=run.schema_name)
    assert total is not None
    return total


async def _record_revision(
    connection: Connection, run: ClaimedRun, result: Publication, *, query: str, **more: object
) -> None:
    changes = {name: getattr(result, name) for name in ("added", "changed", "removed")}
    await fetch_rows(
        connection, "tenant", query, within=run.schema_name, run=run.run_id, revision=result.revision,
        **changes, **more,
    )  # fmt: skip


async def _keep_check(connection: Connection, run: ClaimedRun, result: Publication, **times: object) -> None:
    """Say until when the revision in force is known to hold: a run found nothing else."""
    await fetch_rows(
        connection, "tenant", "keep_check", within=run.schema_name, run=run.run_id, revision=result.revision,
        **times,
    )  # fmt: skip


async def _supersede(connection: Connection, run: ClaimedRun) -> None:
    """Put an earlier revision that waits out of force: this run has seen the instance later."""
    await fetch_rows(connection, "tenant", "supersede_held", within=run.schema_name, run=run.run_id)


async def _finish(connection: Connection, run: ClaimedRun, result: Publication, as_of: datetime) -> None:
    counts = {name: getattr(result, name) for name in ("nodes", "edges", "added", "changed", "removed")}
    finished = await fetch_value(
        connection, "control", "finish_run", run=run.run_id, fence=run.fence, outcome=result.outcome,
        revision=result.revision, as_of=as_of, counts=msgspec.json.encode(counts).decode(),
    )  # fmt: skip
    if not finished:
        raise lease_lost(run.run_id)
