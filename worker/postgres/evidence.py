"""What became of records that complete reads no longer gave: noted, looked up, and kept until the run publishes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from jobs.events import Event
from jobs.lookup import Fate
from jobs.surface import Surface
from jobs.verdict import Verdict
from worker.postgres.connection import Connection, as_tenant, fetch_rows
from worker.postgres.runs import ClaimedRun
from worker.postgres.staging import Reads, record_events


async def note_gone(
    connection: Connection, run: ClaimedRun, *, surface: Surface, reads: Reads
) -> dict[str, int]:
    """Note the records of the graph that complete reads did not give any more.

    Gives how many of each table are not looked up yet. Doing it again changes nothing.
    """
    within = run.schema_name
    links = [name for name in surface.links if name in reads.listed]
    async with as_tenant(connection, within):
        await fetch_rows(
            connection,
            "tenant",
            "note_gone",
            within=within,
            run=run.run_id,
            closing=list(reads.closing),
            listed=list(reads.listed),
            links=links,
        )
        await record_events(connection, run, [], requests=0, records=0)
        rows = await fetch_rows(connection, "tenant", "count_gone", within=within, run=run.run_id)
    return {row["table_name"]: row["gone"] for row in rows}


async def read_gone(connection: Connection, run: ClaimedRun, *, table: str, limit: int) -> list[str]:
    """Give some records of a table that are gone and not looked up yet, in order."""
    async with as_tenant(connection, run.schema_name):
        rows = await fetch_rows(
            connection,
            "tenant",
            "read_gone",
            within=run.schema_name,
            run=run.run_id,
            table=table,
            limit=limit,
        )
    return [row["sys_id"] for row in rows]


async def count_fates(connection: Connection, run: ClaimedRun, *, table: str) -> Counter[Fate]:
    """Count what the look-ups of a table's records told so far."""
    async with as_tenant(connection, run.schema_name):
        rows = await fetch_rows(
            connection, "tenant", "count_fates", within=run.schema_name, run=run.run_id, table=table
        )
    return Counter({row["fate"]: row["met"] for row in rows})


async def settle_gone(
    connection: Connection, run: ClaimedRun, *, table: str, fates: Mapping[str, Fate],
    verdict: Verdict | None, requests: int, events: Sequence[Event],
) -> None:  # fmt: skip
    """Keep what look-ups told of a table's records, and its verdict where they change it, with their events."""
    within = run.schema_name
    async with as_tenant(connection, within):
        for fate in set(fates.values()):
            sys_ids = [sys_id for sys_id, met in fates.items() if met == fate]
            await fetch_rows(
                connection, "tenant", "settle_gone", within=within, run=run.run_id, table=table, fate=fate,
                sys_ids=sys_ids,
            )  # fmt: skip
        if verdict is None:
            await fetch_rows(
                connection, "tenant", "count_requests", within=within, run=run.run_id, table=table,
                requests=requests,
            )  # fmt: skip
        else:
            await fetch_rows(
                connection, "tenant", "judge_table", within=within, run=run.run_id, table=table, requests=requests,
                hidden=verdict.hidden, verdict=verdict.name, reason=verdict.reason,
            )  # fmt: skip
        await record_events(connection, run, events, requests=requests, records=0)
