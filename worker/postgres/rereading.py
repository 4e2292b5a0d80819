"""What a run goes on from where it reads less than everything: known tables and records, and how they compare.

What changes something is done by the slice's writer, in the order in which it was staged.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from jobs.events import Event
from jobs.rereading import Aggregates, KnownTable, Way
from worker.postgres.connection import Connection, as_tenant, fetch_row, fetch_rows
from worker.postgres.runs import ClaimedRun
from worker.postgres.staging import record_events


async def read_known_tables(connection: Connection, run: ClaimedRun) -> dict[str, KnownTable]:
    """Give what earlier runs left of each table that can be gone on from, by name."""
    async with as_tenant(connection, run.schema_name):
        rows = await fetch_rows(connection, "tenant", "read_table_states", within=run.schema_name)
    return {row.pop("table_name"): KnownTable(aggregates=_take_aggregates(row), **row) for row in rows}


async def read_differing(
    connection: Connection, run: ClaimedRun, *, table: str, limit: int
) -> tuple[list[str], int]:
    """Give scanned records that are new or changed and not fetched yet, in order, and how many there are in all."""
    async with as_tenant(connection, run.schema_name):
        rows = await fetch_rows(
            connection,
            "tenant",
            "read_differing",
            within=run.schema_name,
            run=run.run_id,
            table=table,
            limit=limit,
        )
    return [row["id"] for row in rows], rows[0]["differing"] if rows else 0


async def read_known_aggregates(
    connection: Connection, run: ClaimedRun, *, table: str, scanned: bool
) -> Aggregates:
    """Give what is known of a table with what the run staged; after a scan, what was staged alone."""
    async with as_tenant(connection, run.schema_name):
        row = await fetch_row(
            connection, "tenant", "read_known_aggregates", within=run.schema_name, run=run.run_id, table=table,
            scanned=scanned,
        )  # fmt: skip
    assert row is not None
    return _take_aggregates(row)


async def skip_table(
    connection: Connection, run: ClaimedRun, *, table: str, requests: int, events: Sequence[Event]
) -> None:
    """Let a table stand as the last read left it, with that read's verdict and time."""
    await _act(connection, run, "skip_table", events, table=table, requests=requests)


async def note_unknown(
    connection: Connection, run: ClaimedRun, *, table: str, reason: str, requests: int,
    events: Sequence[Event],
) -> None:  # fmt: skip
    """Keep for later slices, and for the verdict, what is not known of a table's records."""
    await _act(connection, run, "note_unknown", events, table=table, reason=reason, requests=requests)


async def restart_table(
    connection: Connection, run: ClaimedRun, *, table: str, way: Way, shape: str, requests: int,
    events: Sequence[Event],
) -> None:  # fmt: skip
    """Read a table another way, or asking for other things, from its beginning."""
    await _act(connection, run, "restart_table", events, table=table, way=way, shape=shape, requests=requests)


async def turn_to_fetch(
    connection: Connection, run: ClaimedRun, *, table: str, requests: int, events: Sequence[Event]
) -> None:
    """Go on from a table's scanned keys to the records that differ."""
    await _act(connection, run, "turn_to_fetch", events, table=table, requests=requests)


async def verify_table(
    connection: Connection, run: ClaimedRun, *, table: str, aggregates: Aggregates, requests: int,
    events: Sequence[Event],
) -> None:  # fmt: skip
    """Keep the aggregates that what is known of a table was found to come to."""
    await _act(connection, run, "verify_table", events, table=table, requests=requests, **asdict(aggregates))


async def doubt_table(
    connection: Connection, run: ClaimedRun, *, table: str, requests: int, events: Sequence[Event]
) -> None:
    """Let no later run go on from this read of a table: it is read whole again."""
    await _act(connection, run, "doubt_table", events, table=table, requests=requests)


async def read_closable(
    connection: Connection, run: ClaimedRun, *, earlier: Collection[str], overlap: timedelta
) -> list[str]:
    """Give the tables that may have changed since the run read them: in earlier slices, or longer ago than a time."""
    within = run.schema_name
    async with as_tenant(connection, within):
        rows = await fetch_rows(
            connection, "tenant", "read_closable", within=within, run=run.run_id, earlier=list(earlier),
            overlap_seconds=overlap.total_seconds(),
        )  # fmt: skip
    return [row["table_name"] for row in rows]


async def stand_table(
    connection: Connection, run: ClaimedRun, *, table: str, requests: int, events: Sequence[Event]
) -> None:
    """Note that a table was, when it was asked after, as it was read: its rows are no newer, what is known is."""
    await _act(connection, run, "stand_table", events, table=table, requests=requests)


async def note_closing(
    connection: Connection, run: ClaimedRun, *, table: str, requests: int, events: Sequence[Event]
) -> None:
    """Note that the run asked whether a table changed since its read: it does so once."""
    await _act(connection, run, "note_closing", events, table=table, requests=requests)


async def close_table(
    connection: Connection, run: ClaimedRun, *, table: str, aggregates: Aggregates, requests: int,
    events: Sequence[Event],
) -> None:  # fmt: skip
    """Move a table to when it was asked after, with the aggregates that it then was found to come to."""
    await _act(connection, run, "close_table", events, table=table, requests=requests, **asdict(aggregates))


async def count_requests(
    connection: Connection, run: ClaimedRun, *, table: str, requests: int, events: Sequence[Event]
) -> None:
    """Count requests that told nothing of a table."""
    await _act(connection, run, "count_requests", events, table=table, requests=requests)


async def _act(
    connection: Connection,
    run: ClaimedRun,
    query: str,
    events: Sequence[Event],
    *,
    requests: int,
    **values: object,
) -> None:
    within = run.schema_name
    async with as_tenant(connection, within):
        await fetch_rows(
            connection, "tenant", query, within=within, run=run.run_id, requests=requests, **values
        )
        await record_events(connection, run, events, requests=requests, records=0)


def _take_aggregates(row: dict[str, Any]) -> Aggregates:
    return Aggregates(row.pop("counted"), row.pop("newest"), row.pop("changes"))
