"""Publish: from staged pages to a revision, in one transaction that readers see whole or not at all.

The delta is computed by PostgreSQL from hashes; what is the same is not touched. Only tables read completely
close what is gone. The last statement is the fence's compare-and-set, so that renewal never waits on it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from jobs.events import Event
from jobs.surface import Surface
from worker.postgres.connection import Connection, as_tenant, fetch_row, fetch_rows, fetch_value
from worker.postgres.runs import ClaimedRun
from worker.postgres.staging import lease_lost, record_alone, record_events


@dataclass(frozen=True, slots=True)
class Publication:
    """What publishing came to: `published` with a new revision, or `unchanged` at the one in force."""

    outcome: str
    revision: int
    nodes: int
    edges: int
    added: int
    changed: int
    removed: int


async def publish_run(
    connection: Connection, run: ClaimedRun, *, surface: Surface, closing: Collection[str],
    as_of: datetime, complete: bool, events: Sequence[Event],
) -> Publication:  # fmt: skip
    """Publish what the run staged; raises LeaseLost, and then nothing was written.

    `closing` are the tables whose missing rows leave the graph; `as_of` is when the reading began; `complete`
    says that every table of the surface was read whole.
    """
    within = run.schema_name
    # Apart from the rest, so that a late worker learns it before the long part and renewal waits for nothing.
    await record_alone(connection, run, requests=0, events=[])
    async with as_tenant(connection, within):
        current = await fetch_row(connection, "tenant", "read_current_revision", within=within)
        revision = int(await fetch_value(connection, "tenant", "next_revision", within=within))
        nodes = await fetch_row(
            connection, "tenant", "publish_nodes", within=within, run=run.run_id, revision=revision,
            closing=list(closing), subclasses=list(surface.subclasses),
        )  # fmt: skip
        edges = await fetch_row(
            connection, "tenant", "publish_edges", within=within, run=run.run_id, revision=revision,
            closing=list(closing), surface=list(surface.bases),
        )  # fmt: skip
        assert nodes is not None
        assert edges is not None
        changes = {change: nodes[change] + edges[change] for change in ("added", "changed", "removed")}
        if current is not None and not any(changes.values()):
            result = Publication(
                "unchanged",
                current["revision"],
                current["nodes"],
                current["edges"],
                added=0,
                changed=0,
                removed=0,
            )
        else:
            total = await fetch_row(connection, "tenant", "read_digest", within=within)
            assert total is not None
            await fetch_rows(
                connection, "tenant", "add_revision", within=within, run=run.run_id, revision=revision,
                as_of=as_of, complete_as_of=as_of if complete else None, **total, **changes,
            )  # fmt: skip
            result = Publication("published", revision, total["nodes"], total["edges"], **changes)
        await fetch_rows(connection, "tenant", "drop_staged", within=within, run=run.run_id)
        await record_events(connection, run, events, requests=0, records=0)
        await _finish(connection, run, result, as_of)
    return result


async def drop_abandoned(connection: Connection, run: ClaimedRun) -> None:
    """Forget what earlier runs of the tenant staged and never published.

    Raises LeaseLost, and then nothing is forgotten: a late worker must not drop what a newer run stages.
    """
    async with as_tenant(connection, run.schema_name):
        await record_events(connection, run, [], requests=0, records=0)
        await fetch_rows(connection, "tenant", "drop_abandoned", within=run.schema_name, run=run.run_id)


async def _finish(connection: Connection, run: ClaimedRun, result: Publication, as_of: datetime) -> None:
    counts = {name: getattr(result, name) for name in ("nodes", "edges", "added", "changed", "removed")}
    finished = await fetch_value(
        connection, "control", "finish_run", run=run.run_id, fence=run.fence, outcome=result.outcome,
        revision=result.revision, as_of=as_of, counts=msgspec.json.encode(counts).decode(),
    )  # fmt: skip
    if not finished:
        raise lease_lost(run.run_id)
